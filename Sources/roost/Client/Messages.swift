/// `roost message`: one message, and cancelling (contract messages.md).

import ArgumentParser
import Domain

struct Messages: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "message", abstract: "Messages that wait or are delivered: show one, cancel.",
        discussion: """
            EXAMPLES
              roost message get msg_00VbwPTIJ0000goNRlNo5pmcH
              roost message cancel msg_00VbwPTIJ0000goNRlNo5pmcH
              roost message cancel --label nightly --host example.com --yes
            """,
        version: Roost.version, subcommands: [Get.self, Cancel.self])

    func run() throws { throw Self.needsSubcommand }

    static func path(_ id: String) -> String { "/v2/messages/" + Percent.encodeComponent(id) }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one message that has not ended; roost logs has the others.",
            discussion: """
                EXAMPLES
                  roost message get msg_00VbwPTIJ0000goNRlNo5pmcH
                  roost message get msg_00VbwPTIJ0000goNRlNo5pmcH --json | jq .body
                """,
            version: Roost.version)
        @Argument(help: "The message's id.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show(Messages.path(id)) }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Cancel messages, those that are named or all that match.",
            discussion: """
                A message in delivery ends with that attempt. By filter or with --all it asks first; without a terminal
                that needs --yes. --from and --to are times of publishing. With --json a line for each call of the API.

                EXAMPLES
                  roost message cancel msg_00VbwPTIJ0000goNRlNo5pmcH
                  roost message cancel --topic orders --from 1h
                  roost message cancel --all --yes
                """,
            version: Roost.version)
        @Argument(help: "Ids of messages.") var ids: [String] = []
        @OptionGroup(title: "Filters") var filters: Filters
        @OptionGroup(title: "Filters") var place: PlaceFilters
        @Flag(help: "All messages.") var all = false
        @Flag(help: "Without a question.") var yes = false
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws { _ = try selection() }

        func selection() throws -> Selection {
            try .read(ids: ids, query: filters.query() + place.query(), all: all)
        }

        func run() async throws {
            let server = try connection.connect()
            switch try selection() {
            case .ids(let ids):
                let count = try await Selection.each(ids) { id throws(CommandFailure) in
                    let answer = try await server.call("DELETE", Messages.path(id))
                    if connection.json { try Terminal.output.json(answer.body) }
                }
                if !connection.json { try Terminal.output.say("cancelled \(count) messages") }
            case .query(let query):
                let what = query.isEmpty ? "all messages" : "the messages that match"
                try Confirmation.ask("Cancel \(what) of \(server.base)?", yes: yes)
                try await cancel(query, server)
            }
        }

        /// The most the API cancels in one call that says how many.
        private static let step = 500

        /// The API neither counts nor lists what waits: the bar shows how many were cancelled.
        private func cancel(_ query: [HeaderField], _ server: ServerConnection) async throws {
            let bar = ProgressBar("cancelling", total: nil)
            let done = Counter()
            let json = connection.json
            let result: Result<Bool, any Error>
            do {
                result = .success(
                    try await Interruption.guarding {
                        while !Task.isCancelled {
                            let answer = try await Interruption.whole {
                                try await server.call(
                                    "DELETE", "/v2/messages", query: query + [("count", String(Self.step))])
                            }
                            let count = try answer.json(server.base).count("cancelled")
                            done.add(count)
                            if json { try Terminal.output.json(answer.body) }
                            bar.advance(by: count)
                            // Fewer than asked for: there were no more. What is published from now on stays.
                            if count < Self.step { return }
                        }
                    })
            } catch {
                result = .failure(error)
            }
            bar.clear()
            if !json { try Terminal.output.say("cancelled \(done.value) messages") }
            if try result.get() { throw CommandFailure(text: "interrupted", status: ClientStatus.interrupted) }
        }
    }
}
