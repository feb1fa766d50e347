/// The log as the console shows it: over time, and live. Not part of the contract.

import Domain
import Engine
import Synchronization

/// How many live tails one process serves at once.
final class Tails: Sendable {
    static let most = 32
    private let open = Mutex(0)

    func enter() -> Bool {
        open.withLock { open in
            guard open < Self.most else { return false }
            open += 1
            return true
        }
    }

    func leave() { open.withLock { $0 -= 1 } }
}

extension API {
    /// Events looked at for one histogram.
    private static let mostCounted = 20_000
    private static let mostBars = 240

    /// How many events of each state, over time, with the filters of the log; `bars` (60) is into how many parts the time is
    /// cut. `reached` stands there where the newest ones were as many as are looked at: what is older was not.
    func histogram(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        let pairs = try Self.textQuery(request.target)
        let bars = pairs.first { $0.name == "bars" }.map { Int($0.value) ?? 0 } ?? 60
        guard (1...Self.mostBars).contains(bars) else { throw .badRequest("invalid bars: 1 to \(Self.mostBars)") }
        let query = try ListQuery.read(
            pairs.filter { $0.name != "bars" }, of: .log(defaultCount: 1), limits: settings.limits)
        let now = store.clock.now.milliseconds
        let found = try await stored { try await store.logTimes(query, most: Self.mostCounted) }
        let times = found.events.map(\.time.milliseconds)
        // From the first event where no time was asked for, and until now.
        let from = max(
            query.from ?? .min, found.reached?.milliseconds ?? .min, query.from == nil ? times.min() ?? now : .min)
        let to = max(min(query.to ?? now, max(now, times.max() ?? now)), from + 1000)
        let (last, span) = (Int64(bars - 1), Double(to - from))
        var counts: [[LogState: Int]] = Array(repeating: [:], count: bars)
        for (time, state) in found.events {
            let share = Double(time.milliseconds - from) / span * Double(bars)
            counts[Int(min(max(Int64(share.rounded(.down)), 0), last))][state, default: 0] += 1
        }
        var json = JSONText(capacity: 64 * bars + 128)
        json.object { json in
            json.field("from", from)
            json.field("to", to)
            json.field("events", times.count)
            if let reached = found.reached { json.field("reached", reached) }
            json.key("bars")
            json.array { json in
                for (index, count) in counts.enumerated() {
                    json.object { json in
                        json.field("time", from + Int64(span * Double(index) / Double(bars)))
                        for state in LogState.allCases { if let n = count[state] { json.field(state.rawValue, n) } }
                    }
                }
            }
        }
        return APIResponse(json: json.bytes)
    }

    /// Server-sent events: log entries from now on, with the filters of the log. Each has its place in the log as the id of
    /// the event; who comes again with the last one as `cursor`, or with the time of `open`, misses none and gets none twice.
    func tail(_ request: APIRequest) throws(RequestError) -> APIResponse {
        var query = try ListQuery.read(
            try Self.textQuery(request.target), of: .log(defaultCount: 200), limits: settings.limits)
        query.order = .earliestFirst
        query.count = 200
        let opened = store.clock.now
        query.cursor = query.cursor ?? .time(opened.milliseconds)
        guard tails.enter() else {
            throw RequestError(status: 503, text: "\(Tails.most) live tails are open already: close one")
        }
        let (stream, parts) = AsyncStream.makeStream(of: [UInt8].self, bufferingPolicy: .bufferingOldest(64))
        let (tails, following) = (tails, query)
        let task = Task {
            await follow(following, opened: opened, into: parts)
            parts.finish()
        }
        parts.onTermination = { _ in
            task.cancel()
            tails.leave()
        }
        var response = APIResponse(text: "", type: "text/event-stream")
        response.headers.append(("X-Accel-Buffering", "no"))
        response.stream = stream
        return response
    }

    /// Looks for new entries twice a second until the reader is gone; a comment now and then finds out that it is.
    private func follow(
        _ query: ListQuery, opened: Timestamp, into parts: AsyncStream<[UInt8]>.Continuation
    ) async {
        var query = query
        var quiet = 0
        parts.yield(Array("event: open\ndata: \(opened.milliseconds)\n\n".utf8))
        while !Task.isCancelled {
            var bytes: [UInt8] = []
            let page = try? await store.log(query)
            for entry in page?.entries ?? [] {
                var json = JSONText(capacity: 1024)
                entry.write(to: &json, limits: settings.limits, trimBody: 200)
                bytes += Array("id: \(entry.event.ref)\ndata: ".utf8) + json.bytes + Array("\n\n".utf8)
                query.cursor = .behind(entry.event.ref)
            }
            quiet = bytes.isEmpty ? quiet + 1 : 0
            if quiet == 20 {
                bytes = Array(": quiet\n\n".utf8)
                quiet = 0
            }
            // A reader that does not keep up loses its tail, not the server its memory.
            if !bytes.isEmpty, case .dropped = parts.yield(bytes) { return }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }
}
