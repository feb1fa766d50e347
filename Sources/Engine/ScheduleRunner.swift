/// Fires schedules when their time has come.

import Domain
import Logging
import RedisLink
import Synchronization

/// Sleeps exactly until the next run of any schedule; an earlier one that comes wakes it. Every node runs one: the
/// script lets the first of them fire a tick, and the others find it changed.
package final class ScheduleRunner: Sendable {
    static let mostSchedules: Int64 = 100
    static let mostBytes: Int64 = 1 << 20
    static let mostMessages = 200
    /// The net under the wake-ups: however quiet it is, the loop looks again after this long.
    static let longestSleep = Duration.seconds(10)

    private let store: Store
    private let wakeup: Wakeup
    private let target = Mutex<Int64?>(nil)

    package init(store: Store, wakeup: Wakeup) {
        (self.store, self.wakeup) = (store, wakeup)
    }

    /// A schedule runs at `time` (ms since 1970): wakes the loop where that is earlier than what it sleeps for.
    package func note(tick time: Int64) {
        let earlier = target.withLock { target in target.map { time < $0 } ?? true }
        if earlier { wakeup.signal() }
    }

    package func lookAgain() { wakeup.signal() }

    package func run(_ watch: LoopWatch) async {
        var refusal = Duration.seconds(1)
        while !Task.isCancelled {
            do {
                let next = try await step()
                refusal = .seconds(1)
                watch.succeeded()
                await sleep(until: next, beat: watch.beat)
            } catch {
                // With memory full the tick stays due: everything that runs frees memory, so waiting is what helps.
                var pause = watch.failed(error)
                if error.isOutOfMemory {
                    pause = refusal
                    store.logger.warning("Redis is out of memory: schedules wait \(pause)")
                    refusal = min(refusal * 2, .seconds(60))
                }
                await sleep(until: store.clock.now.adding(milliseconds: pause.milliseconds), beat: watch.beat)
            }
        }
    }

    private func sleep(until time: Timestamp?, beat: @Sendable () -> Void) async {
        let longest = ContinuousClock.now + Self.longestSleep
        while !Task.isCancelled, time != nil || ContinuousClock.now < longest {
            beat()
            var pause = Duration.seconds(1)
            if let time {
                let due = Saturating.multiply(time.milliseconds, 1000)
                pause = min(pause, .microseconds(Saturating.subtract(due, store.clock.microseconds)))
                if pause <= .zero { return }
            }
            if await wakeup.wait(atMost: pause) { return }
        }
    }

    /// Fires one batch; answers when to come back: a time that has come means at once, nil that nothing is planned.
    package func step() async throws(RedisError) -> Timestamp? {
        wakeup.clear()
        target.withLock { $0 = nil }
        let reply = try await store.scripts.once(
            Scripts.scheduleDue, [.integer(Self.mostSchedules), .integer(Self.mostBytes)])
        guard reply.count >= 2, reply[0].string == "ok" else { throw .notSent("schedule_due was refused") }
        let next = reply[1].string.flatMap { Int64($0) }
        var items: [Item] = []
        var fired = 0
        for value in reply.dropFirst(2) {
            guard let item = try await item(value.array ?? []) else { continue }
            items.append(item)
            fired += 1
            if items.reduce(0, { $0 + $1.run.messages.count }) >= Self.mostMessages {
                try await fire(items)
                items = []
            }
        }
        if !items.isEmpty { try await fire(items) }
        target.withLock { $0 = next }
        if reply.count > 2, fired == 0 { throw .notSent("none of \(reply.count - 2) schedules could be read") }
        // What was fired may be due again before everything else: the next look tells.
        if reply.count > 2 { return store.clock.now }
        return next.map { Timestamp(milliseconds: $0) }
    }

    private struct Item {
        var id: String
        var revision: String
        var due: String
        var body: [UInt8]
        var topic: Topic?
        var run: Schedule.Run
    }

    /// Nil where it is no schedule at all. One that can't be read, or whose topic can't be, says so in its `error` and
    /// goes on to its next run; throws where only waiting helps.
    private func item(_ fields: [RedisValue]) async throws(RedisError) -> Item? {
        guard fields.count == 8, let id = fields[0].string, let revision = fields[1].string, let due = fields[2].string
        else { return nil }
        func set(_ index: Int) -> [UInt8]? { fields[index].bytes.flatMap { $0.isEmpty ? nil : $0 } }
        var hash: [String: [UInt8]] = ["revision": Array(revision.utf8), "next": Array(due.utf8)]
        for (name, index) in [("cron", 3), ("delay", 4), ("topic", 5), ("request", 6), ("body", 7)] {
            hash[name] = set(index)
        }
        let now = store.clock.now
        let schedule: Schedule
        do {
            schedule = try Schedule.decode(id: id, fields: hash)
        } catch {
            store.logger.error("schedule can't be read: \(error)", metadata: ["schedule": "\(id)"])
            let run = Schedule.Run(
                messages: [], next: nil, missed: 0, error: "the stored schedule can't be read: \(error)")
            return Item(id: id, revision: revision, due: due, body: [], topic: nil, run: run)
        }
        var topic: Topic?
        var problem: String?
        if let name = schedule.template.topic {
            do {
                topic = try await store.topicForPublish(name)
            } catch {
                guard case .broken(let text) = error else { throw .notSent("topic \(name): \(error)") }
                problem = text
            }
        }
        var run = schedule.run(at: now, topic: topic)
        if let problem { run.error = problem }
        return Item(id: id, revision: revision, due: due, body: schedule.body, topic: topic, run: run)
    }

    /// Fires them in one call; where Redis answers with an error, each alone, and one that fails alone is fired without
    /// its messages, so that it says why and the others go on.
    private func fire(_ items: [Item]) async throws(RedisError) {
        do {
            try await send(items)
        } catch {
            guard case .server(let text) = error, !error.isTemporary, !error.isOutOfMemory else { throw error }
            store.logger.error("schedule_fire of \(items.count) failed: \(text)")
            for item in items {
                if items.count > 1 {
                    try await fire([item])
                } else {
                    var empty = item
                    (empty.topic, empty.run.messages, empty.run.error) = (nil, [], "could not be published: \(text)")
                    try await send([empty])
                }
            }
        }
    }

    private func send(_ items: [Item]) async throws(RedisError) {
        var parts: [RedisPart] = [.integer(Int64(items.count))]
        for item in items {
            let messages = item.run.messages
            let isShared = messages.count > 1 && item.body.count > store.settings.sharedBodyBytes
            parts += [
                .text(item.id), .text(item.revision), .text(item.due),
                .text(item.run.next.map { String($0.milliseconds) } ?? ""), .integer(item.run.missed),
                .text(item.run.error ?? ""), .text(item.topic?.name ?? ""), .text(item.topic?.revision ?? ""),
                .bytes(item.body), .text(isShared ? Publisher.digest(item.body) : ""),
                .integer(Int64(messages.first.map { store.settings.logBytes(of: $0.record) } ?? 0)),
                .integer(Int64(messages.count)),
            ]
            for message in messages {
                parts += [
                    .text(message.id.text), .text(message.lane), .integer(message.due.milliseconds),
                    .bytes(message.record.encode()), .text(message.gate),
                ]
            }
        }
        let reply = try await store.scripts.once(Scripts.scheduleFire, parts)
        guard reply.first?.string == "ok" else { throw .notSent("schedule_fire was refused") }
        let now = store.clock.microseconds
        for (item, status) in zip(items, reply.dropFirst()) {
            switch status.string {
            case "fired":
                let late = Saturating.multiply(Int64(item.due) ?? 0, 1000)
                store.metrics.fired(
                    missed: Int(item.run.missed), late: Double(Saturating.subtract(now, late)) / 1e6)
                for message in item.run.messages { store.metrics.published(LaneKind(lane: message.lane)) }
                if let error = item.run.error {
                    store.logger.warning("schedule could not publish: \(error)", metadata: ["schedule": "\(item.id)"])
                }
            case "topic":
                if let name = item.topic?.name { store.forgetTopic(name) }
            default: break
            }
        }
    }
}
