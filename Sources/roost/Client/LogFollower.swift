/// `roost logs --follow`: asks again and again for what is new, and shows each entry once.

import Domain
import Foundation

struct LogFollower: Sendable {
    let server: ServerConnection
    let query: [HeaderField]
    let json: Bool
    /// Entries shown before the first new one.
    let first: Int

    private static let pause = Duration.seconds(1)
    /// Entries read at first, so that those of the last seconds are known however few are shown.
    private static let glance = 200

    func run() async throws {
        let wasInterrupted = try await Interruption.guarding {
            var window = LogWindow()
            let page = try await server.get(
                "/v2/logs", query: query + [("count", String(min(max(first, Self.glance), 1000)))])
            let newest = (page["logs"]?.array ?? []).reversed()
            // What is older than this page is not asked for again.
            window.floor = page["cursor"] == nil ? nil : newest.first?.time("time")?.adding(milliseconds: 1)
            try show(window.new(of: newest).suffix(first))
            if window.start == nil { window.start = .clock.adding(seconds: -60) }
            var isLost = false
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.pause)
                if Task.isCancelled { return }
                do {
                    try await ask(&window)
                    if isLost { Console.complain("\(server.base) is back") }
                    isLost = false
                } catch let failure as CommandFailure where failure.status == ClientStatus.unreachable {
                    if !isLost, !Task.isCancelled { Console.complain(failure.text + "; trying again") }
                    isLost = true
                }
            }
        }
        if wasInterrupted { exit(ClientStatus.interrupted) }
    }

    private func ask(_ window: inout LogWindow) async throws {
        let from = query.first { $0.name == "fromDate" }.flatMap { Int64($0.value) } ?? 0
        let start = max(from, window.start?.milliseconds ?? 0)
        let pages = Pages(
            server: server, path: "/v2/logs", field: "logs",
            query: query.filter { $0.name != "fromDate" } + [
                ("fromDate", String(start)), ("order", "earliestFirst"),
            ], pageSize: 1000)
        var entries: [JSONValue] = []
        try await pages.read(limit: nil) { entries += $0 }
        try show(window.new(of: entries))
    }

    private func show(_ entries: some Sequence<JSONValue>) throws {
        let clock = TimeText()
        // Looked at again each time: a window changes its size.
        let out = Terminal(descriptor: STDOUT_FILENO)
        for entry in entries {
            if json { try out.json(entry) } else { try out.log(entry, clock) }
        }
    }
}

/// What was shown, as far back as an entry may still appear after later ones: several processes write the log, each by
/// its own clock.
struct LogWindow {
    private static let overlap: Int64 = 3
    /// From where to ask: entries before it have been shown or never will be.
    var start: Timestamp?
    /// Nothing before it is asked for.
    var floor: Timestamp?
    private var shown: [Key: Int] = [:]

    private struct Key: Hashable {
        let time: Timestamp
        let text: String
    }

    /// Those of `entries` that were not shown; the same entry twice in one list is two entries.
    ///
    /// - Parameter entries: all that the log has from `start` on, in the order of time.
    mutating func new(of entries: some Sequence<JSONValue>) -> [JSONValue] {
        var seen: [Key: Int] = [:]
        var fresh: [JSONValue] = []
        for entry in entries {
            let key = Key(
                time: entry.time("time") ?? Timestamp(milliseconds: 0),
                text: "\(entry.shown("messageId")) \(entry.shown("state"))")
            let count = (seen[key] ?? 0) + 1
            seen[key] = count
            if count > shown[key] ?? 0 { fresh.append(entry) }
        }
        shown.merge(seen) { max($0, $1) }
        guard let latest = shown.keys.map(\.time).max() else { return fresh }
        let start = max(latest.adding(seconds: -Self.overlap), floor ?? Timestamp(milliseconds: 0))
        shown = shown.filter { $0.key.time >= start }
        self.start = start
        return fresh
    }
}
