/// The store: what the API does to Redis. Every change is one script, sent again until its outcome is known.

import Domain
import Logging
import RedisLink
import Synchronization

/// One publish call with its whole fan-out: all of it is stored or nothing.
package struct PublishItem: Sendable {
    package struct Entry: Sendable {
        package var id: String
        package var lane: String
        /// When it may be delivered first; in the past means now.
        package var due: Timestamp
        /// The encoded `MessageRecord`.
        package var request: [UInt8]
        /// The same, for a delivery that begins in this process at once.
        package let record: KnownRecord
        /// `Lane.gate` of the message.
        package var gate: String
        /// What its deduplication id is kept under, or empty.
        package var dedup: String

        package init(_ message: NewMessage) {
            (id, lane, due, gate) = (message.id.text, message.lane, message.due, message.gate)
            dedup = message.dedup ?? ""
            (request, record) = (message.record.encode(), KnownRecord(message.record))
        }
    }

    package var entries: [Entry]
    package var body: [UInt8]
    /// The log keeps nothing of the body.
    package var hidesBody: Bool
    /// The topic the fan-out was made from, at the revision it was read.
    package var topic: (name: String, revision: String)?

    package init(
        entries: [Entry], body: [UInt8], hidesBody: Bool = false, topic: (name: String, revision: String)? = nil
    ) {
        (self.entries, self.body, self.hidesBody, self.topic) = (entries, body, hidesBody, topic)
    }
}

/// A record that need not be decoded. A class: a structure of so many references costs too much to copy.
package final class KnownRecord: Sendable {
    package let value: MessageRecord

    init(_ value: MessageRecord) { self.value = value }
}

package enum PublishResult: Sendable, Equatable {
    case stored
    /// For each message the id of the one it repeats, which stands for it; empty for one that is stored.
    case duplicates([String])
    /// The topic has changed or is gone since it was read: nothing is stored.
    case topicChanged
    /// It would make a queue, and there are as many as may be: nothing is stored.
    case tooManyQueues
}

/// A message as it stands in Redis: live, or delivered and still readable.
package struct StoredMessage: Sendable {
    package var id: String
    package var state: String
    package var record: MessageRecord
    package var body: [UInt8]
}

package final class Store: Sendable {
    package let settings: StoreSettings
    package let clock: NodeClock
    package let logger: Logger
    package let metrics: EngineMetrics
    package let redis: any RedisCommands
    let scripts: ScriptCaller
    let publisher: Publisher
    let topics = Mutex<[String: Topic]>([:])

    package init(
        redis: any RedisCommands, clock: NodeClock, settings: StoreSettings, logger: Logger, metrics: EngineMetrics
    ) {
        (self.redis, self.clock, self.settings, self.logger, self.metrics) = (redis, clock, settings, logger, metrics)
        scripts = ScriptCaller(redis: redis, clock: clock, root: settings.root, logger: logger, metrics: metrics)
        publisher = Publisher(scripts: scripts, settings: settings)
    }

    func key(_ family: String, _ name: String? = nil) -> String {
        name.map { "\(settings.root):\(family):\($0)" } ?? "\(settings.root):\(family)"
    }

    /// Reads, or writes what may be written twice, sending again until `storeTimeout`.
    func read(_ command: RedisCommand) async throws(StoreError) -> RedisValue {
        let deadline = ContinuousClock.now + settings.storeTimeout
        var pause = Duration.milliseconds(5)
        while true {
            do {
                return try await scripts.sheddingLog { () throws(RedisError) in try await redis.send(command) }
            } catch {
                if error.isOutOfMemory { throw .refused("\(error)") }
                if case .server(let text) = error, !error.isTemporary { throw .broken("\(command.subject): \(text)") }
                guard !Task.isCancelled, ContinuousClock.now + pause < deadline else { throw .unavailable }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(500))
            }
        }
    }

    /// Stores the messages; concurrent calls share one script call (see `Publisher`).
    package func publish(_ item: PublishItem) async throws(StoreError) -> PublishResult {
        try await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<PublishResult, StoreError>, Never>) in
            publish(item) { continuation.resume(returning: $0) }
        }.get()
    }

    /// The same for a caller that does not wait: `answer` is called once, on any thread, and must return at once.
    package func publish(
        _ item: PublishItem, _ answer: @escaping @Sendable (Result<PublishResult, StoreError>) -> Void
    ) {
        publisher.add(item) { [self] result in
            if case .success(let value) = result { note(value, of: item) }
            answer(result)
        }
    }

    /// Stores the items in their order, each whole or not at all. Where it throws, any of them may be stored.
    package func publish(_ items: [PublishItem]) async throws(StoreError) -> [PublishResult] {
        let results = try await publisher.publish(items)
        for (item, result) in zip(items, results) { note(result, of: item) }
        return results
    }

    private func note(_ result: PublishResult, of item: PublishItem) {
        switch result {
        case .tooManyQueues: break
        case .duplicates(let originals):
            let stored = originals.count(where: \.isEmpty)
            if let lane = item.entries.first?.lane, stored > 0 { metrics.published(LaneKind(lane: lane), stored) }
        case .topicChanged: if let topic = item.topic { forgetTopic(topic.name) }
        case .stored:
            if let lane = item.entries.first?.lane { metrics.published(LaneKind(lane: lane), item.entries.count) }
        }
    }

    /// Ends waiting messages at once and asks those in flight to end with their attempt. Answers how many.
    package func cancel(_ ids: [String]) async throws(StoreError) -> Int {
        let reply = try await scripts.untilAnswered(
            Scripts.cancel, [.text(callIdentifier())] + ids.map(RedisPart.text),
            deadline: .now + settings.storeTimeout)
        let cancelled = reply.count > 1 ? Int(reply[1].int64 ?? 0) : 0
        metrics.cancelled(cancelled)
        return cancelled
    }

    /// Counts towards a limit of the API; nil where it is kept, else what is left of the window and when that ends.
    package func count(
        _ kind: RateLimit.Kind, _ amount: Int, limit: Int64
    ) async throws(StoreError) -> (left: Int64, reset: Timestamp)? {
        let reply = try await scripts.untilAnswered(
            Scripts.countCall,
            [.text(kind.rawValue), .integer(Int64(amount)), .integer(limit), .integer(kind.window)],
            deadline: .now + settings.storeTimeout)
        guard reply.count == 3, reply[0].string == "over" else { return nil }
        return (reply[1].int64 ?? 0, Timestamp(milliseconds: reply[2].int64 ?? 0))
    }

    /// The same for every arrival of one administrative request, so that a resend gets the same answer.
    func callIdentifier() -> String {
        String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
    }
}
