/// How a call that opens lanes takes the node's next claim with it to Redis.

import Synchronization

/// A node that sleeps is woken by what a call opens: the call publishes a wake-up, Redis sends it, the node claims. Where the call
/// comes from the node's own process that is two ways too many: the claim goes out right behind the call, in the same write, and
/// Redis does one after the other. Then the call need wake nobody (`claims` in ARGV[1], `lua/prelude.lua`), and that claim
/// wakes the others where it leaves something. Where it never comes, because the process ends between the two, the others see
/// what was opened at their next renewal.
final class NextClaim: Sendable {
    // In a struct: a bare closure would be wrapped once more each time it passes through the mutex.
    private struct Claim {
        var claim: @Sendable () -> Bool
    }

    private let claim = Mutex<Claim?>(nil)

    /// From now on `claim` is asked: it answers whether the claim will be sent behind what its caller sends before it returns to
    /// the thread's loop.
    func come(_ claim: @escaping @Sendable () -> Bool) { self.claim.withLock { $0 = Claim(claim: claim) } }

    /// True where a claim comes right behind the call, which must be sent at once.
    func comes() -> Bool { claim.withLock { $0 }?.claim() ?? false }
}
