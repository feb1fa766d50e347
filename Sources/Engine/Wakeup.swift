/// A flag that one loop sleeps on: set from anywhere, awaited by one, with a precise alarm.

import NIOCore
import Synchronization

/// A signal is never lost: one that comes while nobody waits ends the next wait at once. The alarm is a timer of a
/// NIO event loop, exact to about a tenth of a millisecond where `Task.sleep` may be several late.
///
/// Setting a timer wakes the thread of its loop, and most waits end by a signal long before their time. So the alarm of a
/// wait that has ended stays set and serves the next ones: where it rings too early for them, it is set again from there.
package final class Wakeup: Sendable {
    private struct State {
        var signalled = false
        var waiter: CheckedContinuation<Bool, Never>?
        /// When the waiter wakes without a signal.
        var limit = NIODeadline.uptimeNanoseconds(0)
        /// While somebody waits it rings at `limit` or before.
        var alarm: (rings: NIODeadline, callback: NIOScheduledCallback)?
        /// Of the alarm that is set; one that was set before says nothing any more.
        var turn = 0
    }

    private struct Alarm: NIOScheduledCallbackHandler, Sendable {
        let wakeup: Wakeup
        let turn: Int
        func handleScheduledCallback(eventLoop: some EventLoop) { wakeup.ring(turn) }
    }

    private let state = Mutex(State())
    private let timers: any EventLoop

    package init(timers: any EventLoop) { self.timers = timers }

    package func signal() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            if state.waiter == nil { state.signalled = true }
            return state.waiter
        }
        waiter?.resume(returning: true)
    }

    /// The same where somebody waits; else it does nothing and answers false.
    func signalWaiter() -> Bool {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: true)
        return waiter != nil
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
            let signalled = state.withLock { state -> Bool? in
                if state.signalled || nanoseconds <= 0 {
                    defer { state.signalled = false }
                    return state.signalled
                }
                state.waiter = continuation
                state.limit = .now() + .nanoseconds(nanoseconds)
                if let alarm = state.alarm {
                    if alarm.rings <= state.limit { return nil }
                    alarm.callback.cancel()
                }
                setAlarm(&state)
                return nil
            }
            if let signalled { continuation.resume(returning: signalled) }
        }
    }

    private func setAlarm(_ state: inout State) {
        state.turn += 1
        let alarm = Alarm(wakeup: self, turn: state.turn)
        // A loop that is shut down sets none: then the process ends.
        state.alarm = (try? timers.scheduleCallback(at: state.limit, handler: alarm)).map { (state.limit, $0) }
    }

    private func ring(_ turn: Int) {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            guard state.turn == turn else { return nil }
            state.alarm = nil
            guard let waiter = state.waiter else { return nil }
            guard state.limit <= .now() else {
                setAlarm(&state)
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: false)
    }
}
