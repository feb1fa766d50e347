/// `roost dlq`: messages whose attempts are used up (contract dlq.md).

import ArgumentParser
import Domain

struct DeadLetters: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dlq", abstract: "Dead letters: messages that have failed for good.",
        discussion: """
            EXAMPLES
              roost dlq list --status 500 --from 1d
              roost dlq get 1735689605123-0
              roost dlq retry 1735689605123-0
              roost dlq retry --label nightly --yes
              roost dlq delete --to 7d --yes
            """,
        version: Roost.version, subcommands: [List.self, Get.self, Retry.self, Delete.self])

    func run() throws { throw Self.needsSubcommand }

    struct Wanted: ParsableArguments {
        @Option(help: "Answered with that status; 0 for no answer.")
        var status: [Int] = []
        @Option(name: .customLong("message-id"), help: "That message.")
        var messageID: String?
        @OptionGroup var common: Filters

        var query: [HeaderField] {
            common.query() + status.map { ("responseStatus", String($0)) }
                + (messageID.map { [("messageId", $0)] } ?? [])
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List dead letters, the newest first.",
            discussion: """
                With --json a line for each.

                EXAMPLES
                  roost dlq list
                  roost dlq list --status 500 --status 503 --from 1d
                  roost dlq list --all --json | jq -r .dlqId
                """,
            version: Roost.version)
        @OptionGroup(title: "Filters") var filters: Wanted
        @OptionGroup var range: ListRange
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let out = Terminal.output
            var query = filters.query + range.order
            if !connection.json { query.append(("trimBody", "200")) }
            let pages = Pages(server: server, path: "/v2/dlq", field: "messages", query: query, pageSize: 100)
            var letters: [JSONValue] = []
            try await pages.read(limit: range.limit) { page in
                if connection.json { for letter in page { try out.json(letter) } } else { letters += page }
            }
            if !connection.json { try out.table(DeadLetters.table(letters)) }
        }
    }

    static func table(_ letters: [JSONValue], _ clock: TimeText = TimeText()) -> TextTable {
        var table = TextTable([
            .init(title: "DLQ ID", least: nil), .init(title: "FAILED", least: 6),
            .init(title: "STATUS", isRight: true, least: nil), .init(title: "URL", least: 14, isURL: true),
            .init(title: "LABELS", least: 6), .init(title: "ANSWER", least: 6),
        ])
        for letter in letters {
            let id = letter.shown("dlqId")
            let time = Int64(id.prefix { $0 != "-" }).map { clock.relative(Timestamp(milliseconds: $0)) }
            let status = letter["responseStatus"]?.int ?? 0
            table.rows.append([
                Cell(id), Cell(time ?? ""), Cell(status == 0 ? "none" : "\(status)", .bad), Cell(letter.shown("url")),
                Cell((letter["labels"]?.array ?? []).compactMap(\.string).joined(separator: ",")),
                Cell(SafeText.cut(letter.shown("responseBody"), to: 60), .faint),
            ])
        }
        return table
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one dead letter with its last answer.",
            discussion: """
                EXAMPLES
                  roost dlq get 1735689605123-0
                """,
            version: Roost.version)
        @Argument(help: "The dead letter's id, as roost dlq list shows it.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show("/v2/dlq/" + Percent.encodeComponent(id)) }
    }

    struct Retry: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Publish dead letters again, those that are named or all that match.",
            discussion: """
                Each becomes a new message and is gone from here. Prints the new ids, or by filter how many.
                By filter or with --all it asks first; without a terminal that needs --yes. With --json a line for each
                call of the API.

                EXAMPLES
                  roost dlq retry 1735689605123-0
                  roost dlq retry --status 503 --from 1h --yes
                  roost dlq retry --all --retries 1 --yes
                """,
            version: Roost.version)
        @Argument(help: "Ids of dead letters.") var ids: [String] = []
        @OptionGroup(title: "Filters") var filters: Wanted
        @Flag(help: "All dead letters.") var all = false
        @Flag(help: "Without a question.") var yes = false
        @Option(help: "Attempts after the first, in place of what they had.") var retries: Int?
        @Option(
            name: .customLong("upstash"), help: "'Name: value' becomes Upstash-Name, in place of what they had.")
        var other: [String] = []
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws {
            _ = try selection()
            _ = try headers()
        }

        func selection() throws -> Selection { try .read(ids: ids, query: filters.query, all: all) }

        func headers() throws -> [HeaderField] {
            if let retries, retries < 0 { throw ValidationError("--retries must be 0 or more") }
            return (retries.map { [("Upstash-Retries", String($0))] } ?? [])
                + (try other.map { text in
                    let field = try MessageOptions.field(text, "--upstash")
                    return ("Upstash-" + field.name, field.value)
                })
        }

        func run() async throws {
            let act = DeadLetterAct(
                server: try connection.connect(), selection: try selection(), headers: try headers(), isRetry: true,
                yes: yes, json: connection.json)
            try await act.run()
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete dead letters, those that are named or all that match.",
            discussion: """
                By filter or with --all it asks first; without a terminal that needs --yes. With --json a line for each
                call of the API.

                EXAMPLES
                  roost dlq delete 1735689605123-0 1735689605123-1
                  roost dlq delete --topic orders --to 7d --yes
                  roost dlq delete --all
                """,
            version: Roost.version)
        @Argument(help: "Ids of dead letters.") var ids: [String] = []
        @OptionGroup(title: "Filters") var filters: Wanted
        @Flag(help: "All dead letters.") var all = false
        @Flag(help: "Without a question.") var yes = false
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws { _ = try selection() }

        func selection() throws -> Selection { try .read(ids: ids, query: filters.query, all: all) }

        func run() async throws {
            let act = DeadLetterAct(
                server: try connection.connect(), selection: try selection(), headers: [], isRetry: false, yes: yes,
                json: connection.json)
            try await act.run()
        }
    }
}
