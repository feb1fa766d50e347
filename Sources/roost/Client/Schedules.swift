/// `roost schedule`: messages by the clock (contract schedules.md).

import ArgumentParser
import Domain

struct Schedules: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule", abstract: "Schedules: messages by the clock.",
        discussion: """
            EXAMPLES
              roost schedule create https://example.com/report --cron '0 9 * * MON'
              roost schedule list
              roost schedule get nightly
              roost schedule pause nightly
              roost schedule delete nightly
            """,
        version: Roost.version,
        subcommands: [Create.self, List.self, Get.self, Pause.self, Resume.self, Delete.self])

    func run() throws { throw Self.needsSubcommand }

    static func path(_ id: String) -> String { "/v2/schedules/" + Percent.encodeComponent(id) }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a schedule, or replace the one with that id.",
            discussion: """
                Prints the id of the schedule. See its next runs beforehand with roost cron.

                EXAMPLES
                  roost schedule create https://example.com/a --cron '0 9 * * MON' --id a
                  roost schedule create orders --cron @daily --body '{"sync":true}'
                  roost schedule create orders --cron 'CRON_TZ=Asia/Tokyo 30 2 * * *'
                """,
            version: Roost.version)
        @Argument(help: "An absolute http(s) URL, or the name of a topic.") var destination: String
        @Option(help: "When: five fields or a macro, the zone with CRON_TZ=.") var cron: String
        @Option(help: "An id of your own; one that exists is replaced.") var id: String?
        @OptionGroup(title: "Message") var message: MessageOptions
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws {
            guard !destination.isEmpty else { throw ValidationError("the destination is empty") }
            do {
                _ = try CronExpression(cron, now: .clock)
            } catch {
                throw ValidationError("--cron: Invalid cron expression \(error.text)")
            }
            if let id, !NameGrammar.matches(Array(id.utf8)) {
                throw ValidationError("--id must be of letters, digits and . _ -")
            }
        }

        func run() async throws {
            var headers = try message.headers()
            headers.append(("Upstash-Cron", cron))
            if let id { headers.append(("Upstash-Schedule-Id", id)) }
            let server = try connection.connect()
            let answer = try await server.call(
                "POST", "/v2/schedules/" + DestinationText.encoded(destination), headers: headers,
                body: try BodyText.read(message.body))
            if connection.json { return try Terminal.output.json(answer.body) }
            try Terminal.output.say(try answer.json(server.base).shown("scheduleId"))
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all schedules.",
            discussion: """
                EXAMPLES
                  roost schedule list
                  roost schedule list --json | jq -r '.[] | select(.isPaused) | .scheduleId'
                """,
            version: Roost.version)
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let answer = try await server.call("GET", "/v2/schedules")
            if connection.json { return try Terminal.output.json(answer.body) }
            let clock = TimeText()
            var table = TextTable([
                .init(title: "SCHEDULE", least: nil), .init(title: "CRON", least: 9), .init(title: "STATE", least: 6),
                .init(title: "NEXT", least: 6), .init(title: "LAST", least: 6),
                .init(title: "DESTINATION", least: 10, isURL: true),
            ])
            for schedule in try answer.json(server.base).array ?? [] {
                let last = schedule["lastScheduleStates"]?.object?.members ?? []
                let hasFailed = last.contains { $0.value.string == "FAIL" }
                table.rows.append([
                    Cell(schedule.shown("scheduleId")), Cell(Schedules.readable(schedule.shown("cron"))),
                    Schedules.state(schedule),
                    Cell(schedule.time("nextScheduleTime").map(clock.relative) ?? ""),
                    Cell(
                        schedule.time("lastScheduleTime").map(clock.relative) ?? "", hasFailed ? .bad : .plain),
                    Cell(schedule.shown("destination")),
                ])
            }
            try Terminal.output.table(table)
        }
    }

    /// The zone behind the expression, where it may be cut.
    static func readable(_ cron: String) -> String {
        guard let match = cron.wholeMatch(of: /(?:CRON_)?TZ=(\S+)\s+(.*)/)?.output else { return cron }
        return "\(match.2) (\(match.1))"
    }

    private static func state(_ schedule: JSONValue) -> Cell {
        if schedule["error"] != nil { return Cell("error", .bad) }
        return schedule["isPaused"]?.bool == true ? Cell("paused", .warning) : Cell("running", .good)
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one schedule.",
            discussion: """
                EXAMPLES
                  roost schedule get nightly
                """,
            version: Roost.version)
        @Argument(help: "The id.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show(Schedules.path(id)) }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let due times pass without a run.",
            discussion: """
                EXAMPLES
                  roost schedule pause nightly
                """,
            version: Roost.version)
        @Argument(help: "The id.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Schedules.path(id) + "/pause", done: "paused schedule \(id)")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run again, from the next due time on.",
            discussion: """
                EXAMPLES
                  roost schedule resume nightly
                """,
            version: Roost.version)
        @Argument(help: "The id.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Schedules.path(id) + "/resume", done: "resumed schedule \(id)")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a schedule; messages it has made go on.",
            discussion: """
                EXAMPLES
                  roost schedule delete nightly
                """,
            version: Roost.version)
        @Argument(help: "The id.") var id: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("DELETE", Schedules.path(id), existing: true, done: "deleted schedule \(id)")
        }
    }
}
