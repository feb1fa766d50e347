/// `roost flow`: limits over all destinations of a key (contract flow-control.md).

import ArgumentParser
import Domain

struct Flows: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "flow", abstract: "Flow control: limits of deliveries by key.",
        discussion: """
            EXAMPLES
              roost flow list --search tenant
              roost flow get tenant-acme
              roost flow pin tenant-acme --rate 10 --period 1m
              roost flow unpin tenant-acme --rate
              roost flow pause tenant-acme
            """,
        version: Roost.version,
        subcommands: [
            List.self, Get.self, Pause.self, Resume.self, Pin.self, Unpin.self, Reset.self, ResetRate.self,
        ])

    func run() throws { throw Self.needsSubcommand }

    static func path(_ key: String, _ verb: String? = nil) -> String {
        "/v2/flowControl/" + Percent.encodeComponent(key) + (verb.map { "/" + $0 } ?? "")
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List flow keys: what waits, what runs, their limits.",
            discussion: """
                EXAMPLES
                  roost flow list
                  roost flow list --search tenant --json | jq '.[] | select(.waitListSize > 0)'
                """,
            version: Roost.version)
        @Option(help: "Only keys that contain it.") var search: String?
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let answer = try await server.call(
                "GET", "/v2/flowControl", query: search.map { [("search", $0)] } ?? [])
            if connection.json { return try Terminal.output.json(answer.body) }
            var table = TextTable([
                .init(title: "KEY", least: 12), .init(title: "WAITING", isRight: true, least: nil),
                .init(title: "RUNNING", isRight: true, least: nil), .init(title: "RATE", least: nil),
                .init(title: "STATE"),
            ])
            for flow in try answer.json(server.base).array ?? [] { table.rows.append(Flows.row(flow)) }
            try Terminal.output.table(table)
        }
    }

    /// `3 of 10` running, `42 of 100 in 60s` started.
    static func row(_ flow: JSONValue) -> [Cell] {
        func limit(_ count: String, _ most: String) -> String {
            let most = flow[most]?.int ?? 0
            return flow.shown(count) + (most > 0 ? " of \(most)" : "")
        }
        let hasRate = (flow["rateMax"]?.int ?? 0) > 0
        var states: [String] = []
        if flow["isPaused"]?.bool == true { states.append("paused") }
        if flow["isPinnedParallelism"]?.bool == true { states.append("pinned parallelism") }
        if flow["isPinnedRate"]?.bool == true { states.append("pinned rate") }
        return [
            Cell(flow.shown("flowControlKey")), Cell(flow.shown("waitListSize")),
            Cell(limit("parallelismCount", "parallelismMax")),
            Cell(hasRate ? limit("rateCount", "rateMax") + " in \(flow.shown("ratePeriod"))s" : ""),
            Cell(states.joined(separator: ", "), states.isEmpty ? .plain : .warning),
        ]
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one flow key.",
            discussion: """
                EXAMPLES
                  roost flow get tenant-acme
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show(Flows.path(key)) }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deliver nothing of a key.",
            discussion: """
                EXAMPLES
                  roost flow pause tenant-acme
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Flows.path(key, "pause"), done: "paused flow key \(key)")
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Deliver again.",
            discussion: """
                EXAMPLES
                  roost flow resume tenant-acme
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Flows.path(key, "resume"), done: "resumed flow key \(key)")
        }
    }

    struct Pin: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fix the limits of a key, whatever messages say.",
            discussion: """
                EXAMPLES
                  roost flow pin tenant-acme --parallelism 3
                  roost flow pin tenant-acme --rate 100 --period 1m
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @Option(help: "Deliveries at once.") var parallelism: Int?
        @Option(help: "Deliveries started in a period.") var rate: Int?
        @Option(help: "The period of the rate: 1s unless set.") var period: String?
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func validate() throws {
            if parallelism == nil, rate == nil { throw ValidationError("give --parallelism, --rate or both") }
            if let period, DurationText.parse(period) == nil {
                throw ValidationError("--period: \"\(period)\" is not a duration such as 90s or 1h30m")
            }
            if period != nil, rate == nil { throw ValidationError("--period belongs to --rate") }
            for (name, value) in [("parallelism", parallelism), ("rate", rate)] {
                if let value, value < 1 { throw ValidationError("--\(name) must be at least 1") }
            }
        }

        func run() async throws {
            let query = Flows.pins(
                parallelism: parallelism.map(Int64.init), rate: rate.map(Int64.init),
                period: period.flatMap(DurationText.parse))
            try await connection.act("POST", Flows.path(key, "pin"), query: query, done: "pinned flow key \(key)")
        }
    }

    static func pins(parallelism: Int64?, rate: Int64?, period: Int64?) -> [HeaderField] {
        [("parallelism", parallelism), ("rate", rate), ("period", period)]
            .compactMap { name, value in value.map { (name, String($0)) } }
    }

    struct Unpin: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let messages set the limits of a key again.",
            discussion: """
                Both limits, unless one is named.

                EXAMPLES
                  roost flow unpin tenant-acme
                  roost flow unpin tenant-acme --rate
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @Flag(help: "The parallelism alone.") var parallelism = false
        @Flag(help: "The rate alone.") var rate = false
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let both = parallelism == rate
            let query = Flows.unpins(parallelism: both || parallelism, rate: both || rate)
            try await connection.act("POST", Flows.path(key, "unpin"), query: query, done: "unpinned flow key \(key)")
        }
    }

    static func unpins(parallelism: Bool, rate: Bool) -> [HeaderField] {
        (parallelism ? [("parallelism", "true")] : []) + (rate ? [("rate", "true")] : [])
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Clear the counts of a key: rate and parallelism.",
            discussion: """
                EXAMPLES
                  roost flow reset tenant-acme
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Flows.path(key, "reset"), done: "reset flow key \(key)")
        }
    }

    struct ResetRate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reset-rate", abstract: "Begin the period of a key anew, with a count of 0.",
            discussion: """
                EXAMPLES
                  roost flow reset-rate tenant-acme
                """,
            version: Roost.version)
        @Argument(help: "The key.") var key: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("POST", Flows.path(key, "resetRate"), done: "reset the rate of flow key \(key)")
        }
    }
}
