/// Ends attempts: takes the results as they come and settles them in batches.

import Domain
import Logging
import RedisLink
import Synchronization

/// What became of one attempt, decided, ready for `settle.lua`.
package struct SettledAttempt: Sendable {
    package var message: ClaimedMessage
    package var step: NextStep
    /// Status, headers and body of the response, or the reason why there is none.
    package var outcome: Outcome
    /// For people: `500 Internal Server Error`, `connection refused`; empty where it succeeded.
    package var error: String

    /// What was decided, with its callbacks already encoded.
    package init(message: ClaimedMessage, step: NextStep, outcome: Outcome, error: String) {
        (self.message, self.step, self.outcome, self.error) = (message, step, outcome, error)
        callbacks = step.callbacks.map { ($0, $0.record.encode()) }
    }

    /// Bytes of the answer's headers.
    fileprivate var headerBytes: Int {
        outcome.response?.headers.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } ?? 0
    }

    package let callbacks: [(message: NewMessage, request: [UInt8])]

    package var deadLetterID: String? {
        if case .dead(let id) = step.decision { return id }
        return nil
    }
}

/// Results are kept while Redis is away, and sent again until answered; their memory counts as in flight until the
/// reply is read. A batch is whatever has come while the one before was under way.
package final class Settler: Sendable {
    static let mostAttempts = 64
    static let mostBytes = 4 << 20

    private let scripts: ScriptCaller
    private let settings: StoreSettings
    private let node: String
    private let held: HeldMessages
    private let waiting = Mutex<[SettledAttempt]>([])
    private let finishing = Mutex(false)
    private let wakeup: Wakeup
    private let settled: @Sendable () -> Void

    /// `settled` is called after every reply: what it freed may let the next ones start.
    package init(
        scripts: ScriptCaller, settings: StoreSettings, node: String, held: HeldMessages, wakeup: Wakeup,
        settled: @escaping @Sendable () -> Void
    ) {
        (self.scripts, self.settings, self.node, self.held) = (scripts, settings, node, held)
        (self.wakeup, self.settled) = (wakeup, settled)
    }

    package func add(_ attempt: SettledAttempt) {
        held.grow(attempt.message, by: attempt.size)
        waiting.withLock { $0.append(attempt) }
        wakeup.signal()
    }

    /// Runs until the task is cancelled, or until nothing is left after `finish`.
    package func run(_ watch: LoopWatch) async {
        while !Task.isCancelled {
            watch.beat()
            if await step(beat: watch.beat) > 0 { continue }
            if finishing.withLock({ $0 }) { return }
            await wakeup.wait(atMost: .seconds(1))
        }
    }

    /// No more results will come: `run` returns when those that have are settled.
    package func finish() {
        finishing.withLock { $0 = true }
        wakeup.signal()
    }

    /// Settles one batch; answers how many attempts were in it.
    @discardableResult
    package func step(beat: @Sendable () -> Void = {}) async -> Int {
        let batch = next()
        guard !batch.isEmpty else { return 0 }
        await settle(batch, beat)
        held.remove(batch.map(\.message))
        settled()
        return batch.count
    }

    private func next() -> [SettledAttempt] {
        waiting.withLock { waiting in
            var count = 0, bytes = 0
            for attempt in waiting {
                bytes += attempt.size
                if count > 0, count == Self.mostAttempts || bytes > Self.mostBytes { break }
                count += 1
            }
            let batch = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            return batch
        }
    }

    private func settle(_ batch: [SettledAttempt], _ beat: @Sendable () -> Void) async {
        do {
            let claimsNext = batch.contains { !$0.callbacks.isEmpty } && scripts.nextClaim.comes()
            guard
                let reply = try await scripts.whileAlive(
                    Scripts.settle, arguments(batch), claimsNext: claimsNext, beat)
            else { return }
            var late: [SettledAttempt] = []
            for (index, attempt) in batch.enumerated()
            where !count(attempt, as: reply.count > index + 1 ? reply[index + 1].string : nil) {
                late.append(attempt)
            }
            if let first = late.first {
                scripts.logger.notice(
                    "results came too late: the messages were given to another node, or are gone",
                    metadata: ["messages": "\(late.count)", "messageId": "\(first.message.id)"])
            }
        } catch {
            guard batch.count > 1 else { return await setAside(batch[0], because: "\(error)") }
            scripts.logger.error("settle of \(batch.count) failed, trying each alone: \(error)")
            for attempt in batch { await settle([attempt], beat) }
        }
    }

    /// A result that can never be applied: the message stays held and comes back when the lease is renewed in full.
    private func setAside(_ attempt: SettledAttempt, because reason: String) async {
        scripts.logger.error("settle failed: \(reason)", metadata: ["messageId": "\(attempt.message.id)"])
        scripts.metrics.setAside()
        _ = try? await scripts.redis.send(
            RedisCommand("LPUSH", "\(scripts.root):aside", "settle \(attempt.message.id): \(reason)"))
    }

    /// False where nothing came of the result: the attempt was this node's no longer.
    private func count(_ attempt: SettledAttempt, as result: String?) -> Bool {
        let kind = attempt.message.laneKind
        var metadata: Logger.Metadata { ["messageId": "\(attempt.message.id)"] }
        var failure: Logger.Metadata { metadata.merging(["error": "\(attempt.error)"]) { $1 } }
        switch result {
        case "delivered":
            scripts.metrics.settled(.delivered, kind)
            scripts.logger.debug("delivered", metadata: metadata)
        case "retry":
            scripts.metrics.settled(.retried, kind)
            scripts.logger.info("attempt failed, will retry", metadata: failure)
        case "dead":
            scripts.metrics.settled(.failed, kind)
            scripts.logger.warning(
                "failed, now a dead letter",
                metadata: failure.merging([
                    "dlqId": "\(attempt.deadLetterID ?? "")", "lane": "\(attempt.message.lane)",
                ]) { $1 })
        case "canceled":
            scripts.metrics.settled(.cancelled, kind)
            scripts.logger.info("canceled", metadata: metadata)
        case "broken":
            scripts.metrics.setAside()
            scripts.logger.error("settle failed, see the aside list", metadata: metadata)
        default:
            scripts.metrics.stale()
            return false
        }
        return true
    }

    private func arguments(_ batch: [SettledAttempt]) -> [RedisPart] {
        var parts: [RedisPart] = [
            .text(node), .integer(settings.keepDelivered.milliseconds), .integer(Int64(settings.keepDeliveredBytes)),
            .integer(settings.endedFor.milliseconds), .integer(Int64(batch.count)),
        ]
        for attempt in batch {
            parts.append(.text(attempt.message.id))
            parts.append(.text(attempt.message.place))
            if attempt.isPlain {
                parts += [.text("plain"), .integer(Int64(attempt.message.size))]
                continue
            }
            let cancelled =
                switch attempt.step.asCancelled {
                case .asDecided: "decided"
                case .canceled: "canceled"
                }
            switch attempt.step.decision {
            case .delivered:
                parts += [.text("delivered"), .text(cancelled), .integer(Int64(attempt.message.size))]
            case .retry(let at): parts += [.text("retry"), .text(cancelled), .integer(at.milliseconds)]
            case .dead(let id): parts += [.text("dead"), .text(cancelled), .text(id)]
            }
            let response = attempt.outcome.response
            parts.append(.integer(Int64(attempt.outcome.status)))
            if attempt.deadLetterID != nil, let response {
                parts += [.bytes(response.headers.json), .bytes(response.body)]
            } else if attempt.outcome.isSuccess {
                parts += [.text(""), .text("")]
            } else {
                parts += [.text(""), .bytes(Array((response?.body ?? []).prefix(settings.logBodyBytes)))]
            }
            parts.append(.text(attempt.error))
            parts.append(.bytes(detail(of: attempt)))
            parts.append(.integer(Int64(settings.logBodyBytes)))
            parts.append(.integer(Int64(attempt.callbacks.count)))
            for (callback, request) in attempt.callbacks {
                parts += [
                    .text(callback.id.text), .text(callback.lane), .integer(callback.due.milliseconds),
                    .bytes(request), .text(callback.gate), .bytes(callback.body),
                    .integer(Int64(settings.logBytes(of: callback.record))),
                ]
            }
        }
        return parts
    }

    private func detail(of attempt: SettledAttempt) -> [UInt8] {
        if attempt.outcome.isSuccess { return [] }
        return LogDetail.encode(attempt.outcome, error: attempt.error, mostBytes: settings.logBodyBytes)
    }
}

extension SettledAttempt {
    /// Delivered and nothing more: `settle.lua` takes it with a third of the arguments.
    fileprivate var isPlain: Bool {
        step.decision == .delivered && step.asCancelled == .asDecided && callbacks.isEmpty && outcome.isSuccess
    }

    /// Bytes of the answer and of the callbacks it makes.
    fileprivate var size: Int {
        // The log has a part of everything again.
        callbacks.reduce(2 * headerBytes + 2 * (outcome.response?.body.count ?? 0)) {
            $0 + 2 * $1.message.body.count + 2 * $1.request.count
        }
    }
}
