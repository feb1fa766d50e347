/// Moves what has become due into its lane, on time.

import Domain
import Logging
import RedisLink
import Synchronization

/// Sleeps exactly until the earliest due time; an earlier one that comes, from this process or another, wakes it. One
/// call is outstanding, of at most 200 messages, so a million due at once never keep Redis from claiming.
package final class Promoter: Sendable {
    static let mostMessages = 200

    private let scripts: ScriptCaller
    private let wakeup: Wakeup
    private let moved: @Sendable () -> Void
    private let target = Mutex<Int64?>(nil)

    package init(scripts: ScriptCaller, wakeup: Wakeup, moved: @escaping @Sendable () -> Void) {
        (self.scripts, self.wakeup, self.moved) = (scripts, wakeup, moved)
    }

    /// Something is due at `time` (ms since 1970): wakes the loop where that is earlier than what it sleeps for.
    package func note(due time: Int64) {
        let earlier = target.withLock { target in target.map { time < $0 } ?? true }
        if earlier { wakeup.signal() }
    }

    /// Looks again from the start: after a (re)subscription, when a wake-up may have been missed.
    package func lookAgain() { wakeup.signal() }

    package func run(_ watch: LoopWatch) async {
        var isDue = false
        while !Task.isCancelled {
            do {
                let next = try await step(isDue: isDue)
                watch.succeeded()
                isDue = await sleep(until: next, beat: watch.beat)
            } catch {
                await wakeup.wait(atMost: watch.failed(error))
                isDue = false
            }
        }
    }

    /// Until `time`, or something earlier; for ever where nothing waits. Beats every second, does nothing else. Answers whether
    /// the time has come.
    private func sleep(until time: Timestamp?, beat: @Sendable () -> Void) async -> Bool {
        while !Task.isCancelled {
            beat()
            var pause = Duration.seconds(1)
            if let time {
                let due = Saturating.multiply(time.milliseconds, 1000)
                pause = min(pause, .microseconds(Saturating.subtract(due, scripts.clock.microseconds)))
                if pause <= .zero { return true }
            }
            if await wakeup.wait(atMost: pause) { return false }
        }
        return false
    }

    /// Moves one batch; answers when to come back: a time that has come means at once, nil that nothing waits.
    ///
    /// - `isDue`: there is something to move.
    package func step(isDue: Bool = false) async throws(RedisError) -> Timestamp? {
        wakeup.clear()
        target.withLock { $0 = nil }
        let claimsNext = isDue && scripts.nextClaim.comes()
        let reply = try await scripts.once(
            Scripts.promote, [.integer(Int64(Self.mostMessages))], claimsNext: claimsNext)
        guard reply.count == 3, reply[0].string == "ok" else { throw .notSent("promote was refused") }
        if reply[1].int64 != 0, !claimsNext { moved() }
        let next = reply[2].string.flatMap { Int64($0) }
        target.withLock { $0 = next }
        return next.map { Timestamp(milliseconds: $0) }
    }
}
