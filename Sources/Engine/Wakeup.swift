/// A flag that one loop sleeps on: set from anywhere, awaited by one, with a precise alarm.

import NIOCore
import Synchronization

/// A signal is never lost: one that comes while nobody waits ends the next wait at once. The alarm is a timer of a
/// NIO event loop, exact to about a tenth of a millisecond where `Task.sleep` may be several late.
package final class Wakeup: Sendable {
    private struct State {
        var signalled = false
        var waiter: CheckedContinuation<Bool, Never>?
        var alarm: Scheduled<Void>?
        var turn = 0
    }

    private let state = Mutex(State())
    private let timers: any EventLoop

    package init(timers: any EventLoop) { self.timers = timers }

    package func signal() {
        let (waiter, alarm) = state.withLock { state -> (CheckedContinuation<Bool, Never>?, Scheduled<Void>?) in
            guard let waiter = state.waiter else {
                state.signalled = true
                return (nil, nil)
            }
            defer { (state.waiter, state.alarm) = (nil, nil) }
            return (waiter, state.alarm)
        }
        alarm?.cancel()
        waiter?.resume(returning: true)
    }

    /// Forgets signals given so far: called before a piece of work that will see all they stood for.
    package func clear() { state.withLock { $0.signalled = false } }

    /// Returns true at the first signal, or false after `limit`. There is one waiter: the loop that owns this.
    @discardableResult
    package func wait(atMost limit: Duration) async -> Bool {
        let nanoseconds =
            limit.components.seconds >= 1_000_000
            ? 1_000_000_000_000_000
            : limit.components.seconds * 1_000_000_000 + limit.components.attoseconds / 1_000_000_000
        return await withCheckedContinuation { continuation in
            let (turn, signalled) = state.withLock { state -> (Int?, Bool) in
                if state.signalled || nanoseconds <= 0 {
                    defer { state.signalled = false }
                    return (nil, state.signalled)
                }
                state.turn += 1
                state.waiter = continuation
                return (state.turn, false)
            }
            guard let turn else { return continuation.resume(returning: signalled) }
            let alarm = timers.scheduleTask(in: .nanoseconds(nanoseconds)) { self.ring(turn) }
            let tooLate = state.withLock { state in
                guard state.turn == turn, state.waiter != nil else { return true }
                state.alarm = alarm
                return false
            }
            if tooLate { alarm.cancel() }
        }
    }

    private func ring(_ turn: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard state.turn == turn, let waiter = state.waiter else { return nil }
            (state.waiter, state.alarm) = (nil, nil)
            return waiter
        }
        waiter?.resume(returning: false)
    }
}
