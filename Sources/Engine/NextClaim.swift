/// How a call that opens lanes takes a claim of the node with it to Redis.

import RedisLink
import Synchronization

/// A node that sleeps is woken by what a call opens: the call publishes a wake-up, Redis sends it, the node claims. Where the call
/// comes from the node's own process that is two ways too many.
///
/// A publish carries a claim itself: Redis gives the node what it has just stored, by the same script, without writing its record
/// twice or reading it (`CarriedClaim`). Behind any other call the node's next claim goes out in the same write, and Redis does one
/// after the other. In both cases the call need wake nobody (`is_claimed_next` in `lua/prelude.lua`); the claim wakes the others
/// where it leaves something. Where it never comes, because the process ends between the two, the others see what was opened at
/// their next renewal.
final class NextClaim: Sendable {
    private struct Claims {
        let taker: any ClaimTaker
        let executor: LoopExecutor
    }

    private let claims = Mutex<Claims?>(nil)

    /// From now on `taker` is asked, by calls that are made on the thread of `executor`, which its loop runs on.
    func come(_ taker: any ClaimTaker, on executor: LoopExecutor) {
        claims.withLock { $0 = Claims(taker: taker, executor: executor) }
    }

    private var taker: (any ClaimTaker)? {
        claims.withLock { $0 }.flatMap { $0.executor.isCurrent ? $0.taker : nil }
    }

    /// True where a claim comes right behind the call, which must be sent at once.
    func comes() -> Bool { taker?.claimNext() ?? false }

    /// A claim for the call that is about to be sent.
    func carry() -> CarriedClaim? { taker?.carry() }
}

/// Whose claims they are.
protocol ClaimTaker: AnyObject, Sendable {
    /// Answers whether the claim will be sent behind what the caller sends before it returns to the thread's loop.
    func claimNext() -> Bool
    func carry() -> CarriedClaim?
    /// - Parameters:
    ///   - reply: nil where nothing is known of what became of the call.
    ///   - sent: see `Claimer.messages`.
    func answered(_ claim: CarriedClaim, _ reply: RedisValue?, sent: (_ id: String, _ place: String) -> ClaimedMessage?)
}

/// A claim that goes to Redis in a call that stores messages.
final class CarriedClaim: Sendable {
    let begun: BegunClaim
    /// As `publish.lua` takes them behind its items.
    let arguments: [RedisPart]
    private let taker: any ClaimTaker
    private let isAnswered = Atomic(false)

    init(begun: BegunClaim, arguments: [RedisPart], taker: any ClaimTaker) {
        (self.begun, self.arguments, self.taker) = (begun, arguments, taker)
    }

    /// Must be called, whatever becomes of the call; what is told first stands.
    func answered(_ reply: RedisValue?, sent: (_ id: String, _ place: String) -> ClaimedMessage? = { _, _ in nil }) {
        if !isAnswered.exchange(true, ordering: .relaxed) { taker.answered(self, reply, sent: sent) }
    }
}
