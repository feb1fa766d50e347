/// `roost queue`: first in, first out (contract queues.md).

import ArgumentParser
import Domain

struct Queues: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Queues: first in, first out, so many at a time.",
        discussion: """
            EXAMPLES
              roost queue list
              roost queue set orders --parallelism 2
              roost queue pause orders
              roost queue resume orders
              roost queue delete orders --yes          cancels what waits in it
            """,
        version: Roost.version,
        subcommands: [List.self, Get.self, Put.self, Pause.self, Resume.self, Delete.self])

    func run() throws { throw Self.needsSubcommand }

    static func path(_ name: String) -> String { "/v2/queues/" + Percent.encodeComponent(name) }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all queues.",
            discussion: """
                EXAMPLES
                  roost queue list
                  roost queue list --json | jq '.[] | select(.lag > 100)'
                """,
            version: Roost.version)
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let answer = try await server.call("GET", "/v2/queues")
            if connection.json { return try Terminal.output.json(answer.body) }
            let clock = TimeText()
            var table = TextTable([
                .init(title: "QUEUE", least: nil), .init(title: "PARALLELISM", isRight: true, least: 3),
                .init(title: "LAG", isRight: true, least: nil), .init(title: "STATE"), .init(title: "CHANGED"),
            ])
            for queue in try answer.json(server.base).array ?? [] {
                let isPaused = queue["paused"]?.bool == true
                table.rows.append([
                    Cell(queue.shown("name")), Cell(queue.shown("parallelism")), Cell(queue.shown("lag")),
                    isPaused ? Cell("paused", .warning) : Cell("running", .good),
                    Cell(queue.time("updatedAt").map(clock.relative) ?? ""),
                ])
            }
            try Terminal.output.table(table)
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one queue.",
            discussion: """
                EXAMPLES
                  roost queue get orders
                """,
            version: Roost.version)
        @Argument(help: "The queue.") var name: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show(Queues.path(name)) }
    }

    struct Put: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Make a queue, or change how many of its messages are delivered at once.",
            discussion: """
                EXAMPLES
                  roost queue set orders
                  roost queue set orders --parallelism 5
                """,
            version: Roost.version)
        @Argument(help: "The queue.") var name: String
        @Option(help: "Messages delivered at once; 1 for a new queue, as it is for one there.") var parallelism: Int?
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws {
            if let parallelism, parallelism < 1 { throw ValidationError("--parallelism must be at least 1") }
        }

        func run() async throws {
            try await connection.act(
                "POST", "/v2/queues", body: Queues.settings(name, parallelism: parallelism), done: "set queue \(name)")
        }
    }

    static func settings(_ name: String, parallelism: Int?, isPaused: Bool? = nil) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("queueName", name)
            json.field("parallelism", ifAny: parallelism)
            if let isPaused { json.field("paused", isPaused) }
        }
        return json.bytes
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Accept messages and deliver none.",
            discussion: """
                EXAMPLES
                  roost queue pause orders
                """,
            version: Roost.version)
        @Argument(help: "The queue.") var name: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Queues.path(name) + "/pause", done: "paused queue \(name)")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deliver again.",
            discussion: """
                EXAMPLES
                  roost queue resume orders
                """,
            version: Roost.version)
        @Argument(help: "The queue.") var name: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Queues.path(name) + "/resume", done: "resumed queue \(name)")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a queue and cancel what waits in it.",
            discussion: """
                A queue with messages is deleted after a question; without a terminal that needs --yes.

                EXAMPLES
                  roost queue delete orders
                  roost queue delete orders --yes
                """,
            version: Roost.version)
        @Argument(help: "The queue.") var name: String
        @Flag(help: "Without a question.") var yes = false
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let lag = try await server.get(Queues.path(name))["lag"]?.int ?? 0
            if lag > 0 {
                try Confirmation.ask("Delete queue \(name) and cancel the \(lag) messages in it?", yes: yes)
            }
            try await connection.act("DELETE", Queues.path(name), done: "deleted queue \(name)")
        }
    }
}
