/// `roost logs`: what happened to messages (contract logs.md).

import ArgumentParser
import Domain
import Foundation

struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what happened to messages; --follow goes on with what happens.",
        discussion: """
            The newest entries that fit --limit, in the order of time. With --json a line for each entry, bodies in base64.
            States: CREATED, ACTIVE, ERROR, RETRY, DELIVERED, FAILED, CANCEL_REQUESTED, CANCELED; IN_PROGRESS stands for
            ACTIVE, RETRY and ERROR.

            EXAMPLES
              roost logs
              roost logs --follow --state ERROR --state FAILED
              roost logs --message msg_00VbwPTIJ0000goNRlNo5pmcH
              roost logs --grouped --from 1h --label nightly
              roost logs --all --from 2027-03-27T00:00:00Z --json > logs.jsonl
            """,
        version: Roost.version)

    struct Wanted: ParsableArguments {
        @Option(help: "Of that message.")
        var message: [String] = []
        @Option(help: "In that state.")
        var state: [String] = []
        @OptionGroup var common: Filters
        @OptionGroup var place: PlaceFilters

        var query: [HeaderField] {
            message.map { ("messageIds", $0) } + state.map { ("state", $0.uppercased()) } + common.query()
                + place.query()
        }
    }

    @OptionGroup(title: "Filters") var filters: Wanted
    @Option(name: .customLong("limit"), help: "How many at most (100 unless set; with --grouped 10 messages).")
    var most: Int?
    @Flag(help: "All of them.") var all = false
    @Flag(name: .shortAndLong, help: "Go on with new entries until Ctrl-C.") var follow = false
    @Flag(help: "By message: its events and how long it took.") var grouped = false
    @OptionGroup(title: "Server") var connection: ConnectionOptions

    func validate() throws {
        if let most, most < 1 { throw ValidationError("--limit must be at least 1") }
        if most != nil, all { throw ValidationError("--limit and --all: give one of them") }
        if follow, grouped { throw ValidationError("--follow and --grouped: give one of them") }
        if follow, filters.common.to != nil { throw ValidationError("--follow and --to: give one of them") }
        let states = LogState.allCases.map(\.rawValue) + ["CANCELLED", "IN_PROGRESS"]
        for state in filters.state where !states.contains(state.uppercased()) {
            throw ValidationError("--state \(state): it must be one of " + states.joined(separator: ", "))
        }
    }

    func run() async throws {
        let server = try connection.connect()
        if grouped { return try await showGrouped(server) }
        var query = filters.query
        if !connection.json { query.append(("trimBody", "0")) }
        if follow {
            return try await LogFollower(server: server, query: query, json: connection.json, first: most ?? 10).run()
        }
        if all, connection.json {
            let pages = Pages(
                server: server, path: "/v2/logs", field: "logs", query: query + [("order", "earliestFirst")],
                pageSize: 1000)
            return try await pages.read(limit: nil) { for entry in $0 { try Terminal.output.json(entry) } }
        }
        let pages = Pages(server: server, path: "/v2/logs", field: "logs", query: query, pageSize: 1000)
        var entries: [JSONValue] = []
        try await pages.read(limit: all ? nil : most ?? 100) { entries += $0 }
        if connection.json {
            for entry in entries.reversed() { try Terminal.output.json(entry) }
        } else {
            try Terminal.output.table(LogText.table(entries.reversed(), width: Terminal.output.width))
        }
    }

    private func showGrouped(_ server: ServerConnection) async throws {
        let pages = Pages(
            server: server, path: "/v2/logs", field: "messages",
            query: filters.query + [("groupBy", "messageId")], pageSize: 100)
        var messages: [JSONValue] = []
        try await pages.read(limit: all ? nil : most ?? 10) { messages += $0 }
        if connection.json {
            for message in messages { try Terminal.output.json(message) }
        } else {
            try Terminal.output.table(LogText.grouped(messages))
        }
    }
}

/// Entries of the log as lines.
enum LogText {
    static func cell(state: String) -> Cell {
        switch state {
        case "DELIVERED": Cell(state, .good)
        case "FAILED", "ERROR": Cell(state, .bad)
        case "RETRY", "CANCELED", "CANCEL_REQUESTED": Cell(state, .warning)
        default: Cell(state)
        }
    }

    /// What an entry says besides its state: the answer or the error, and when it goes on.
    static func detail(_ entry: JSONValue, _ clock: TimeText) -> String {
        var parts: [String] = []
        if let error = entry["error"]?.string { parts.append(error) }
        if let time = entry.time("nextDeliveryTime"), let at = entry.time("time"), time > at {
            parts.append("next \(clock.local(time).suffix(8))")
        }
        return parts.joined(separator: ", ")
    }

    static func table(
        _ entries: some Sequence<JSONValue>, width: Int?, _ clock: TimeText = TimeText()
    ) -> TextTable {
        var table = TextTable([
            .init(title: "TIME", least: 12), .init(title: "STATE", least: 9), .init(title: "MESSAGE", least: nil),
            .init(title: "URL", least: 10, isURL: true), .init(title: "DETAIL", least: 10),
        ])
        for entry in entries {
            table.rows.append([
                Cell(entry.time("time").map { clock.stamp($0, width: width) } ?? "", .faint),
                cell(state: entry.shown("state")),
                Cell(entry.shown("messageId")), Cell(entry.shown("url")), Cell(detail(entry, clock)),
            ])
        }
        return table
    }

    /// The widths of `follow` are fixed: what comes later is not known.
    static func line(_ entry: JSONValue, _ clock: TimeText, width: Int?, paint: (String, Cell.Tone) -> String) -> String
    {
        let state = cell(state: entry.shown("state"))
        let time = entry.time("time").map { clock.stamp($0, width: width) } ?? ""
        let gap = String(repeating: " ", count: max(0, 9 - SafeText.width(state.text)))
        let rest = [entry.shown("messageId"), entry.shown("url"), detail(entry, clock)].map(SafeText.line)
            .filter { !$0.isEmpty }.joined(separator: "  ")
        let used = time.count + 4 + max(9, SafeText.width(state.text))
        let tail = width.map { SafeText.cut(rest, to: max(10, $0 - used)) } ?? rest
        return paint(time, .faint) + "  " + paint(state.text, state.tone) + gap + "  " + tail
    }

    static func grouped(_ messages: [JSONValue], _ clock: TimeText = TimeText()) -> TextTable {
        var table = TextTable([
            .init(title: "MESSAGE", least: nil), .init(title: "STATE", least: nil), .init(title: "CREATED", least: 7),
            .init(title: "TOOK", isRight: true, least: 5), .init(title: "EVENTS", least: 8),
            .init(title: "URL", least: 10, isURL: true),
        ])
        for message in messages {
            let events = (message["events"]?.array ?? []).reversed()
            let first = events.first?.time("time")
            let last = events.last?.time("time")
            let took = first.flatMap { first in
                last.map { BackoffTable.readable(max(0, $0.milliseconds(since: first))) }
            }
            table.rows.append([
                Cell(message.shown("messageId")), cell(state: message.shown("state")),
                Cell(first.map(clock.relative) ?? ""), Cell(took ?? ""),
                Cell(events.map { $0.shown("state") }.joined(separator: " ")), Cell(message.shown("url")),
            ])
        }
        return table
    }
}
