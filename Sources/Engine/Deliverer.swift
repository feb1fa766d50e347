/// Claims what may run and delivers it.

import Domain
import Logging
import RedisLink
import Synchronization

/// Sends requests; the seam to HTTP. By callbacks and not by tasks: a task, its child and the way there and back cost as much
/// as a signature (`ops/bench.d/NOTES.md`).
package protocol Sender: Sendable {
    /// Never fails: a failed delivery is data. `ended` is called once, on any thread, which it must not keep.
    func send(_ delivery: Delivery, _ ended: @escaping @Sendable (Outcome) -> Void)
    /// Ends what is under way, and all that comes later, without a response.
    func cutOff()
}

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
    private let sender: any Sender
    private let wakeup: Wakeup
    private let renew: @Sendable () async -> Void
    private let mode = Mutex(Mode.running)

    private let bodyReads = BodyReads()

    private enum Mode { case running, draining, cutOff }
    /// Attempts under way, and the one that waits for there to be none.
    private let attempts = Mutex((count: 0, waiter: CheckedContinuation<Void, Never>?.none))

    package init(
        claimer: Claimer, settler: Settler, held: HeldMessages, clock: NodeClock, settings: EngineSettings,
        keys: SigningKeyring, metrics: EngineMetrics, logger: Logger, wakeup: Wakeup, sender: any Sender,
        renew: @escaping @Sendable () async -> Void
    ) {
        (self.claimer, self.settler, self.held, self.clock, self.settings) = (claimer, settler, held, clock, settings)
        (self.keys, self.metrics, self.logger, self.wakeup) = (keys, metrics, logger, wakeup)
        (self.sender, self.renew) = (sender, renew)
    }

    /// No more claims from now on; `run` returns when what is in flight has ended or its task is cancelled.
    package func drain() {
        mode.withLock { if $0 == .running { $0 = .draining } }
        wakeup.signal()
    }

    private var isDraining: Bool { mode.withLock { $0 != .running } }
    private var isCutOff: Bool { mode.withLock { $0 == .cutOff } }

    /// Runs until `drain` and the end of what is in flight. Cancelling the task aborts the requests in flight; their
    /// messages stay held, to be handed back.
    package func run(_ watch: LoopWatch) async {
        await withTaskCancellationHandler {
            await claimUntilDrained(watch)
            await withCheckedContinuation { continuation in
                let isIdle = attempts.withLock { attempts in
                    if attempts.count > 0 { attempts.waiter = continuation }
                    return attempts.count == 0
                }
                if isIdle { continuation.resume() }
            }
        } onCancel: {
            mode.withLock { $0 = .cutOff }
            sender.cutOff()
        }
    }

    private func claimUntilDrained(_ watch: LoopWatch) async {
        while !isDraining, !Task.isCancelled {
            watch.beat()
            wakeup.clear()
            sleepsFor.withLock { $0 = nil }
            let end = await round(watch.beat)
            sleepsFor.withLock { $0 = end }
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

    /// How the last round ended; nil while one is under way.
    private let sleepsFor = Mutex(RoundEnd?.none)
    private let settles = Mutex((seen: 0, last: 0))

    /// A settle's reply was read: what was capped or full may start now.
    package func settled() {
        settles.withLock { $0.last += 1 }
        if sleepsFor.withLock({ $0 == .blocked }) { wakeup.signal() }
    }

    /// Whether the next claim does (`Claimer.claim`).
    private let follows = Mutex(false)

    /// True where a settle ended while the round was under way: then the round saw the state before it.
    private func settledSinceRound() -> Bool {
        settles.withLock { state in
            defer { state.seen = state.last }
            return state.seen != state.last
        }
    }

    private enum RoundEnd: Equatable { case quiet, blocked, failed(RedisError) }

    /// Claims around the ring once and begins what it was given.
    private func round(_ beat: @Sendable () -> Void) async -> RoundEnd {
        settles.withLock { $0.seen = $0.last }
        var round = ""
        var capped = false
        var follows = follows.withLock { exchange(&$0, with: false) }
        while !isDraining, !Task.isCancelled {
            beat()
            let claim: Claim
            let isSentAgain = claimer.hasUnanswered
            do {
                claim = try await claimer.claim(round: round, follows: follows)
            } catch {
                return .failed(error)
            }
            if claim.expired {
                await renew()
                return .failed(.notSent("the node's lease has ended"))
            }
            begin(claim.messages)
            capped = capped || claim.capped
            // Such a one tells what it took; what others took that were lost with it, and what is left, is still to be asked for.
            if isSentAgain { continue }
            follows = false
            switch claim.round {
            case .done: return capped ? .blocked : .quiet
            case .full: return .blocked
            case .next(let next): round = next
            }
        }
        return .quiet
    }

    /// More than this many are begun beside the loop, which has the next claim on its way meanwhile; a few are begun sooner
    /// than another thread is woken.
    private static let fewMessages = 4

    private func begin(_ messages: [ClaimedMessage]) {
        attempts.withLock { $0.count += messages.count }
        if messages.count <= Self.fewMessages {
            messages.forEach(begin)
        } else {
            Task { messages.forEach(begin) }
        }
    }

    /// One attempt: signed, sent, judged, handed to the settler.
    private func begin(_ claimed: ClaimedMessage) {
        guard let apart = claimed.bodyApart else { return send(claimed, body: claimed.body) }
        bodyReads.read(apart.length) { [self] ended in
            body(apart, of: claimed) { [self] body in
                ended()
                switch body {
                case .found(let bytes): send(claimed, body: bytes)
                case .gone(let reason): end(with: unreadable(claimed, because: reason))
                case .cutOff: end(with: nil)
                }
            }
        }
    }

    private func send(_ claimed: ClaimedMessage, body: [UInt8]) {
        let record: MessageRecord
        do {
            record = try claimed.record?.value ?? MessageRecord.decode(claimed.request)
        } catch {
            return end(with: unreadable(claimed, because: "\(error)"))
        }
        let message = Message(
            id: MessageID(claimed.id), record: record, body: body, retried: claimed.retried,
            reclaimed: claimed.reclaimed)
        if claimed.reclaimed >= 5 { return judge(.noResponse(reason: "node lost"), claimed, message) }
        metrics.started(
            late: Double(Saturating.subtract(clock.microseconds, Saturating.multiply(claimed.due, 1000))) / 1e6)
        let started = ContinuousClock.now
        sender.send(delivery(of: message, bodyHash: claimed.bodyApart?.hash)) { [self] outcome in
            metrics.delivered(in: (ContinuousClock.now - started).inSeconds)
            // A callback holds the whole answer: it is not made on the sender's thread.
            if outcome.isSuccess, record.callback == nil {
                judge(outcome, claimed, message)
            } else {
                Task { judge(outcome, claimed, message) }
            }
        }
    }

    private func judge(_ outcome: Outcome, _ claimed: ClaimedMessage, _ message: Message) {
        // A request that was cut off by the end of this process has no outcome: the message is handed back.
        if case .noResponse = outcome, isCutOff { return end(with: nil) }
        let now = clock.now
        let step = NextStep.after(
            outcome, of: message, at: now, dlqId: deadLetterID(of: claimed, at: now), limits: settings.limits,
            callbackFormat: settings.callbackFormat)
        end(with: SettledAttempt(message: claimed, step: step, outcome: outcome, error: outcome.errorText))
    }

    /// - Parameter attempt: nil where the message stays held.
    private func end(with attempt: SettledAttempt?) {
        if let attempt { settler.add(attempt) }
        let waiter = attempts.withLock { attempts in
            attempts.count -= 1
            guard attempts.count == 0 else { return CheckedContinuation<Void, Never>?.none }
            defer { attempts.waiter = nil }
            return attempts.waiter
        }
        waiter?.resume()
    }

    private enum Body {
        case found([UInt8])
        case gone(String)
        /// By the end of this process: the message is handed back.
        case cutOff
    }

    /// Redis being away is waited out: the message is held, and nobody else may deliver it.
    private func body(
        _ apart: BodyApart, of claimed: ClaimedMessage, pause: Duration? = nil,
        _ answer: @escaping @Sendable (Body) -> Void
    ) {
        if isCutOff { return answer(.cutOff) }
        claimer.body(apart) { [self] result in
            switch result {
            case .success(let bytes?): return answer(.found(bytes))
            case .success(nil): return answer(.gone("its body is gone"))
            case .failure(let error):
                if case .server(let text) = error, !error.isTemporary { return answer(.gone(text)) }
                if pause == nil {
                    let metadata: Logger.Metadata = ["messageId": "\(claimed.id)"]
                    logger.warning("can't read a body, trying again: \(error)", metadata: metadata)
                }
                let pause = pause ?? .milliseconds(5)
                Task {
                    try? await Task.sleep(for: pause)
                    body(apart, of: claimed, pause: min(pause * 2, .milliseconds(500)), answer)
                }
            }
        }
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

extension Deliverer: ClaimTaker {
    func claimNext() -> Bool {
        guard !isDraining, claimer.hasRoom, sleepsFor.withLock({ $0 == .quiet }), wakeup.signalWaiter()
        else { return false }
        follows.withLock { $0 = true }
        return true
    }

    /// Only while the loop sleeps because nothing was left: what is left it claims itself, lane by lane.
    func carry() -> CarriedClaim? {
        guard !isDraining, sleepsFor.withLock({ $0 == .quiet }), let claim = claimer.carry(for: self)
        else { return nil }
        // Whoever waits for the end of all attempts waits for those that it brings.
        attempts.withLock { $0.count += 1 }
        return claim
    }

    func answered(
        _ carried: CarriedClaim, _ reply: RedisValue?, sent: (_ id: String, _ place: String) -> ClaimedMessage?
    ) {
        let claim = claimer.read(reply, of: carried, sent: sent)
        if let claim { begin(claim.messages) }
        // The loop does what this could not: sends it again, renews, takes what is left, waits until there is room. And where it
        // waits for room, this may have had some.
        let isDone = claim.map { $0.round == .done && !$0.capped && !$0.expired } ?? false
        if !isDone || sleepsFor.withLock({ $0 == .blocked }) { wakeup.signal() }
        end(with: nil)
    }
}
