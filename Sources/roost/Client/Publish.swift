/// `roost publish`: one message to a URL, or one for each endpoint of a topic.

import ArgumentParser
import Domain

struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish a message to a URL or a topic.",
        discussion: """
            Prints the id of each message and its URL, a line each.

            EXAMPLES
              roost publish https://example.com/orders --body '{"orderId":42}'
              roost publish orders --body @order.json --delay 10m --label web
              date | roost publish https://example.com/log --body - --queue log
              roost publish https://example.com/hook -H 'X-Tenant: acme' --retries 5
              roost publish https://example.com/a --retry-delay 'retried * 1000'
              roost publish https://example.com/a --callback https://example.com/b
              roost publish https://example.com/a --upstash 'Callback-Retries: 1'
              roost publish acme --flow-key acme --flow-value 'rate=10, period=1m'
            """,
        version: Roost.version)

    @Argument(help: "An absolute http(s) URL, or the name of a topic.")
    var destination: String
    @OptionGroup(title: "Message") var message: MessageOptions
    @Option(name: .customLong("not-before"), help: "Deliver at that time: \(TimeText.forms).")
    var notBefore: String?
    @OptionGroup(title: "Server") var connection: ConnectionOptions

    func validate() throws {
        guard !destination.isEmpty else { throw ValidationError("the destination is empty") }
        if let notBefore, TimeText().parse(notBefore) == nil {
            throw ValidationError("--not-before must be one of: \(TimeText.forms)")
        }
    }

    func run() async throws {
        var headers = try message.headers()
        // The API takes whole seconds; a message must not come before its time.
        if let time = notBefore.flatMap({ TimeText().parse($0) }) {
            headers.append(("Upstash-Not-Before", String(time.adding(milliseconds: 999).seconds)))
        }
        let server = try connection.connect()
        let path = "/v2/publish/" + DestinationText.encoded(destination)
        let answer = try await server.call("POST", path, headers: headers, body: try BodyText.read(message.body))
        let out = Terminal.output
        if connection.json { return try out.json(answer.body) }
        let json = try answer.json(server.base)
        if let id = json["scheduleId"]?.string { return try out.say("schedule \(id)") }
        for item in json.array ?? [json] {
            let note = item["deduplicated"]?.bool == true ? "  (a duplicate: nothing new was sent)" : ""
            try out.say("\(item.shown("messageId"))  \(item.shown("url"))\(note)")
        }
    }
}
