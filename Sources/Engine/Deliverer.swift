/// Claims what may run and delivers it.

import Domain
import Logging
import RedisLink
import Synchronization

/// Sends one request; the seam to HTTP. Never throws: a failed delivery is data.
package typealias Sender = @Sendable (Delivery) async -> Outcome

/// One attempt as HTTP sees it.
package struct Delivery: Sendable {
    package var url: String
    package var method: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var timeoutMilliseconds: Int
    /// False where a success may come without its headers, because nobody is told of them.
    package var keepsResponseHeaders = true
}

package final class Deliverer: Sendable {
    private let claimer: Claimer
    private let settler: Settler
    private let held: HeldMessages
    private let clock: NodeClock
    private let settings: EngineSettings
    private let keys: SigningKeyring
    private let metrics: EngineMetrics
    private let logger: Logger
    private let send: Sender
    private let wakeup: Wakeup
    private let renew: @Sendable () async -> Void
    private let mode = Mutex(Mode.running)

    private enum Mode { case running, draining }

    package init(
        claimer: Claimer, settler: Settler, held: HeldMessages, clock: NodeClock, settings: EngineSettings,
        keys: SigningKeyring, metrics: EngineMetrics, logger: Logger, wakeup: Wakeup, send: @escaping Sender,
        renew: @escaping @Sendable () async -> Void
    ) {
        (self.claimer, self.settler, self.held, self.clock, self.settings) = (claimer, settler, held, clock, settings)
        (self.keys, self.metrics, self.logger, self.wakeup) = (keys, metrics, logger, wakeup)
        (self.send, self.renew) = (send, renew)
    }

    /// No more claims from now on; `run` returns when what is in flight has ended or its task is cancelled.
    package func drain() {
        mode.withLock { $0 = .draining }
        wakeup.signal()
    }

    private var isDraining: Bool { mode.withLock { $0 == .draining } }

    /// Runs until `drain` and the end of what is in flight. Cancelling the task aborts the requests in flight; their
    /// messages stay held, to be handed back.
    package func run(_ watch: LoopWatch) async {
        await withDiscardingTaskGroup { group in
            while !isDraining, !Task.isCancelled {
                watch.beat()
                wakeup.clear()
                let end = await round(watch.beat) { message in group.addTask { await self.deliver(message) } }
                claimAfterSettle.withLock { $0 = end == .blocked }
                switch end {
                case .quiet: watch.succeeded()
                case .blocked:
                    watch.succeeded()
                    if settledSinceRound() { continue }
                case .failed(let error):
                    await wakeup.wait(atMost: watch.failed(error))
                    continue
                }
                repeat {
                    watch.beat()
                } while await !wakeup.wait(atMost: .seconds(1)) && !isDraining && !Task.isCancelled
            }
        }
    }

    private let claimAfterSettle = Mutex(false)
    private let settles = Mutex((seen: 0, last: 0))

    /// A settle's reply was read: what was capped or full may start now.
    package func settled() {
        settles.withLock { $0.last += 1 }
        if claimAfterSettle.withLock({ $0 }) { wakeup.signal() }
    }

    /// True where a settle ended while the round was under way: then the round saw the state before it.
    private func settledSinceRound() -> Bool {
        settles.withLock { state in
            defer { state.seen = state.last }
            return state.seen != state.last
        }
    }

    package enum RoundEnd: Sendable, Equatable { case quiet, blocked, failed(RedisError) }

    /// Claims around the ring once and starts what it was given.
    package func round(
        _ beat: @Sendable () -> Void = {}, starting start: (ClaimedMessage) -> Void
    ) async -> RoundEnd {
        settles.withLock { $0.seen = $0.last }
        var round = ""
        var capped = false
        while !isDraining, !Task.isCancelled {
            beat()
            let claim: Claim
            do {
                claim = try await claimer.claim(round: round)
            } catch {
                return .failed(error)
            }
            if claim.expired {
                await renew()
                return .failed(.notSent("the node's lease has ended"))
            }
            for message in claim.messages { start(message) }
            capped = capped || claim.capped
            switch claim.round {
            case .done: return capped ? .blocked : .quiet
            case .full: return .blocked
            case .next(let next): round = next
            }
        }
        return .quiet
    }

    /// One attempt: signed, sent, judged, handed to the settler.
    package func deliver(_ claimed: ClaimedMessage) async {
        let record: MessageRecord
        do {
            record = try MessageRecord.decode(claimed.request)
        } catch {
            return settler.add(unreadable(claimed, because: "\(error)"))
        }
        let body: [UInt8]
        switch await self.body(of: claimed) {
        case .found(let bytes): body = bytes
        case .gone(let reason): return settler.add(unreadable(claimed, because: reason))
        case .cutOff: return
        }
        let message = Message(
            id: MessageID(claimed.id), record: record, body: body, retried: claimed.retried,
            reclaimed: claimed.reclaimed)
        let outcome: Outcome
        if claimed.reclaimed >= 5 {
            outcome = .noResponse(reason: "node lost")
        } else {
            metrics.started(
                late: Double(Saturating.subtract(clock.microseconds, Saturating.multiply(claimed.due, 1000))) / 1e6)
            let started = ContinuousClock.now
            outcome = await send(delivery(of: message, bodyHash: claimed.bodyApart?.hash))
            metrics.delivered(in: (ContinuousClock.now - started).inSeconds)
        }
        // A request that was cut off by the end of this process has no outcome: the message is handed back.
        if Task.isCancelled, case .noResponse = outcome { return }
        let now = clock.now
        let step = NextStep.after(
            outcome, of: message, at: now, dlqId: deadLetterID(of: claimed, at: now), limits: settings.limits,
            callbackFormat: settings.callbackFormat)
        settler.add(SettledAttempt(message: claimed, step: step, outcome: outcome, error: outcome.errorText))
    }

    private enum Body {
        case found([UInt8])
        case gone(String)
        /// By the end of this process: the message is handed back.
        case cutOff
    }

    /// Redis being away is waited out: the message is held, and nobody else may deliver it.
    private func body(of claimed: ClaimedMessage) async -> Body {
        guard let apart = claimed.bodyApart else { return .found(claimed.body) }
        var pause = Duration.milliseconds(5)
        while !Task.isCancelled {
            do {
                guard let bytes = try await claimer.body(apart) else { return .gone("its body is gone") }
                return .found(bytes)
            } catch {
                if case .server(let text) = error, !error.isTemporary { return .gone(text) }
                if pause == .milliseconds(5) {
                    let metadata: Logger.Metadata = ["messageId": "\(claimed.id)"]
                    logger.warning("can't read a body, trying again: \(error)", metadata: metadata)
                }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(500))
            }
        }
        return .cutOff
    }

    private func delivery(of message: Message, bodyHash: String?) -> Delivery {
        let signature = keys.current.token(
            url: message.record.url, body: message.body, hash: bodyHash, now: clock.now)
        let timeout = message.record.timeout.map(Int64.init) ?? settings.limits.maxTimeout
        return Delivery(
            url: message.record.url, method: message.record.method.rawValue,
            headers: DeliveryHeaders.list(for: message, signature: signature, region: settings.region),
            body: message.body,
            timeoutMilliseconds: Int(min(max(timeout, 1), Int64(Int32.max) / 1000)) * 1000,
            keepsResponseHeaders: message.record.callback != nil)
    }

    /// A record nobody can read is not delivered and not lost: it becomes a dead letter that says why.
    private func unreadable(_ claimed: ClaimedMessage, because reason: String) -> SettledAttempt {
        logger.error("unreadable record: \(reason)", metadata: ["messageId": "\(claimed.id)"])
        return SettledAttempt(
            message: claimed,
            step: NextStep(
                decision: .dead(dlqId: deadLetterID(of: claimed, at: clock.now)), callbacks: [],
                asCancelled: .canceled),
            outcome: .noResponse(reason: "unreadable record"), error: "unreadable record: \(reason)")
    }

    /// Entry numbers come from Redis's sequence, so two nodes never make the same id.
    private func deadLetterID(of claimed: ClaimedMessage, at now: Timestamp) -> String {
        "\(now.milliseconds)-\(claimed.entryNumber)"
    }
}
