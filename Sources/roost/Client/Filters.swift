/// Which messages a list or a bulk act is about, as options; each is a query parameter (contract conventions.md §4).

import ArgumentParser
import Domain

/// What dead letters, waiting messages and logs have in common.
struct Filters: ParsableArguments {
    @Option(help: "To that URL, the whole of it. This and the following may be repeated: any of the values counts.")
    var destination: [String] = []
    @Option(help: "Of that topic.")
    var topic: [String] = []
    @Option(help: "Of that queue.")
    var queue: [String] = []
    @Option(help: "Made by that schedule.")
    var schedule: [String] = []
    @Option(help: "With that label.")
    var label: [String] = []
    @Option(name: .customLong("flow-key"), help: "With that flow key.")
    var flowKey: [String] = []
    @Option(name: .customLong("caller-ip"), help: "Published from that address.")
    var callerIP: [String] = []
    @Option(help: "From that time on: \(TimeText.formsOrAgo).")
    var from: String?
    @Option(help: "Up to that time.")
    var to: String?

    func validate() throws {
        for (name, value) in [("from", from), ("to", to)] {
            if let value, TimeText().parse(value, ago: true) == nil {
                throw ValidationError("--\(name) must be one of: \(TimeText.formsOrAgo)")
            }
        }
    }

    func query(_ clock: TimeText = TimeText()) -> [HeaderField] {
        var query: [HeaderField] = []
        for (name, values) in [
            ("url", destination), ("topicName", topic), ("queueName", queue), ("scheduleId", schedule),
            ("label", label),
            ("flowControlKey", flowKey), ("callerIp", callerIP),
        ] {
            query += values.map { (name, $0) }
        }
        for (name, value) in [("fromDate", from), ("toDate", to)] {
            if let time = value.flatMap({ clock.parse($0, ago: true) }) { query.append((name, time.description)) }
        }
        return query
    }
}

/// Host and path, which dead letters can't be searched by.
struct PlaceFilters: ParsableArguments {
    @Option(help: "To that host, with its port where there is one.")
    var host: [String] = []
    @Option(help: "To that path.")
    var path: [String] = []

    func query() -> [HeaderField] { host.map { ("host", $0) } + path.map { ("path", $0) } }
}

/// What a bulk act is about: ids, or filters, or all by name; never all by accident.
enum Selection: Sendable {
    case ids([String])
    /// Empty for all.
    case query([HeaderField])

    static func read(ids: [String], query: [HeaderField], all: Bool) throws -> Selection {
        switch (ids.isEmpty, query.isEmpty, all) {
        case (false, true, false): return .ids(ids)
        case (true, false, false): return .query(query)
        case (true, true, true): return .query([])
        case (true, true, false): throw ValidationError("name ids, or a filter, or --all")
        default: throw ValidationError("ids, filters and --all: give one of the three")
        }
    }

    /// Goes through all the ids whatever becomes of some of them, and fails at the end as the first of those did.
    static func each(_ ids: [String], _ step: (String) async throws(CommandFailure) -> Void)
        async throws(CommandFailure) -> Int
    {
        var done = 0
        var status: Int32?
        for id in ids {
            do {
                try await step(id)
                done += 1
            } catch {
                if error.status == ClientStatus.unreachable || ids.count == 1 { throw error }
                Console.complain(error.text)
                status = status ?? error.status
            }
        }
        if let status { throw CommandFailure(text: "\(ids.count - done) of \(ids.count) failed", status: status) }
        return done
    }
}
