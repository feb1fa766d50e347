/// Queues and flow keys: their settings, their counts, live changes.

import Domain
import RedisLink

extension Store {
    /// One gate as `gate_read.lua` answers it.
    private struct Gate {
        private let fields: [RedisValue]

        init?(_ value: RedisValue) {
            guard let fields = value.array, fields.count == 15 else { return nil }
            self.fields = fields
        }

        private func number(_ index: Int) -> Int64? { fields[index].int64 }
        private func time(_ index: Int) -> Timestamp { Timestamp(milliseconds: number(index) ?? 0) }
        private func flag(_ index: Int) -> Bool { fields[index].string == "1" }

        func queue(_ name: String) -> QueueView {
            QueueView(
                name: name, createdAt: time(12), updatedAt: time(13), parallelism: number(2) ?? 1, isPaused: flag(1),
                lag: number(11) ?? 0)
        }

        var flow: FlowControlView {
            let start = number(7) ?? 0
            return FlowControlView(
                key: fields[0].string ?? "", waiting: number(10) ?? 0, parallelism: number(2) ?? 0,
                inFlight: number(9) ?? 0,
                rate: number(3) ?? 0, starts: number(8) ?? 0, period: number(4) ?? 1,
                periodStart: start > 0 ? Timestamp(milliseconds: start) : nil, isPaused: flag(1),
                isPinnedParallelism: flag(5), isPinnedRate: flag(6))
        }

        /// Nothing is left of a key that has no messages, no settings of its own and no use for a day.
        func isForgotten(now: Timestamp) -> Bool {
            number(11) ?? 0 <= 0 && !flag(1) && !flag(5) && !flag(6) && now.milliseconds(since: time(14)) > 86_400_000
        }
    }

    private func gates(_ lanes: [String]) async throws(StoreError) -> [Gate?] {
        guard !lanes.isEmpty else { return [] }
        let reply = try await scripts.untilAnswered(
            Scripts.gateRead, lanes.map(RedisPart.text), deadline: .now + settings.storeTimeout)
        return reply.dropFirst().map { Gate($0) }
    }

    private func members(_ set: String) async throws(StoreError) -> [String] {
        var found: Set<String> = []
        var cursor = "0"
        repeat {
            let reply = try await read(RedisCommand("SSCAN", key(set), cursor, "COUNT", "1000")).array ?? []
            guard reply.count == 2, let next = reply[0].string else { break }
            cursor = next
            for name in reply[1].array ?? [] { if let name = name.string { found.insert(name) } }
        } while cursor != "0"
        return found.sorted()
    }

    /// All members of a set of gates, read in pages, each of one moment.
    private func all<View>(_ set: String, lane: String, _ view: (String, Gate) -> View?) async throws(StoreError)
        -> [View]
    {
        let names = try await members(set)
        var found: [View] = []
        var page = names[...]
        while !page.isEmpty {
            let part = Array(page.prefix(200))
            page = page.dropFirst(200)
            for (name, gate) in zip(part, try await gates(part.map { lane + $0 })) {
                if let gate, let view = view(name, gate) { found.append(view) }
            }
        }
        return found
    }

    package func queue(_ name: String) async throws(StoreError) -> QueueView? {
        try await gates(["queue:" + name]).first.flatMap { $0?.queue(name) }
    }

    /// By name.
    package func allQueues() async throws(StoreError) -> [QueueView] {
        try await all("queues", lane: "queue:") { name, gate in gate.queue(name) }
    }

    package func flow(_ key: String) async throws(StoreError) -> FlowControlView? {
        let now = clock.now
        return try await gates(["flow:" + Lane.flowPart(key)]).first.flatMap { gate in
            gate.flatMap { $0.isForgotten(now: now) ? nil : $0.flow }
        }
    }

    /// By name; with `search` those whose name contains it.
    package func allFlows(search: String?) async throws(StoreError) -> [FlowControlView] {
        let now = clock.now
        let found = try await all("flows", lane: "flow:") { _, gate in gate.isForgotten(now: now) ? nil : gate.flow }
        let wanted = search.map { part in found.filter { Self.contains($0.key, part) } } ?? found
        return wanted.sorted { $0.key < $1.key }
    }

    private static func contains(_ text: String, _ part: String) -> Bool {
        let (text, part) = (Array(text.utf8), Array(part.utf8))
        if part.isEmpty { return true }
        guard text.count >= part.count else { return false }
        return (0...(text.count - part.count)).contains { text[$0..<($0 + part.count)].elementsEqual(part) }
    }

    package enum GateResult: String, Sendable {
        case changed = "ok"
        /// No such queue; a flow key that is unknown is no error.
        case missing
        /// It would be a new queue, and there are as many as may be.
        case tooManyQueues = "full"
    }

    package func change(queue name: String, _ change: GateChange) async throws(StoreError) -> GateResult {
        try await set("queue:" + name, change, name: name)
    }

    package func change(flow key: String, _ change: GateChange) async throws(StoreError) {
        _ = try await set("flow:" + Lane.flowPart(key), change, name: key)
    }

    private func set(_ lane: String, _ change: GateChange, name: String) async throws(StoreError) -> GateResult {
        func text(_ value: Int64?) -> RedisPart { .text(value.map { String($0) } ?? "") }
        func flag(_ value: Bool) -> RedisPart { .text(value ? "1" : "0") }
        let words: [RedisPart] =
            switch change {
            case .put(let parallelism, let paused):
                [.text("put"), text(parallelism), paused.map(flag) ?? .text(""), .integer(settings.maxQueues)]
            case .pause: [.text("pause"), .text(""), .text(""), .text("")]
            case .resume: [.text("resume"), .text(""), .text(""), .text("")]
            case .pin(let parallelism, let rate, let period):
                [.text("pin"), text(parallelism), text(rate), .integer(period)]
            case .unpin(let parallelism, let rate): [.text("unpin"), flag(parallelism), flag(rate), .text("")]
            case .resetRate: [.text("resetRate"), .text(""), .text(""), .text("")]
            case .reset: [.text("reset"), .text(""), .text(""), .text("")]
            }
        let reply = try await scripts.untilAnswered(
            Scripts.gateSet, [.text(lane)] + words + [.text(name), .text(callIdentifier())],
            deadline: .now + settings.storeTimeout)
        return reply.first?.string.flatMap(GateResult.init(rawValue:)) ?? .missing
    }

    /// Removes the queue and cancels what it holds and is not in flight. Answers how many were cancelled.
    @discardableResult
    package func deleteQueue(_ name: String) async throws(StoreError) -> Int {
        var total = 0
        var what = "delete"
        let call = callIdentifier()
        while true {
            let reply = try await scripts.untilAnswered(
                Scripts.queueDelete, [.text(name), .text(what), .integer(64), .text(call)],
                deadline: .now + settings.storeTimeout)
            total += reply.count > 1 ? Int(reply[1].int64 ?? 0) : 0
            guard reply.count == 3, reply[2].int64 == 1 else { break }
            what = "sweep"
        }
        metrics.cancelled(total)
        return total
    }

    /// Requests in flight on all nodes together.
    package func inFlight() async throws(StoreError) -> Int64 {
        var total: Int64 = 0
        for node in try await read(RedisCommand("ZRANGE", key("nodes"), "0", "-1")).array ?? [] {
            total += try await read(RedisCommand("HLEN", key("active", node.string ?? ""))).int64 ?? 0
        }
        return total
    }
}
