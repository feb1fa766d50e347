/// The one place where now comes from.

import Domain
import RedisLink
import Synchronization

/// Follows Redis's clock, so that nodes with wrong clocks agree: TIME at the last sync plus monotonic time since its
/// reply was *received*. That is a lower bound, so nothing is ever early. It does not run backwards, unless Redis's
/// own clock was set back by a second or more.
package final class NodeClock: Sendable {
    private struct State {
        var base: Int64 = 0
        var receivedAt: ContinuousClock.Instant
        var last: Int64 = 0
        var stepped = false
        var synced = false
        /// Microseconds by which Redis's time may be later than the estimate.
        var uncertainty: Int64 = 0

        func estimate(at now: ContinuousClock.Instant) -> Int64 { base + (now - receivedAt).microseconds }
    }

    private enum Source { case redis, manual }
    private let state: Mutex<State>
    private let source: Source

    package init() {
        source = .redis
        state = Mutex(State(receivedAt: ContinuousClock.now))
    }

    /// A clock that stands still until a test moves it.
    package init(manual start: Timestamp) {
        source = .manual
        let microseconds = start.milliseconds * 1000
        state = Mutex(State(base: microseconds, receivedAt: ContinuousClock.now, last: microseconds, synced: true))
    }

    /// False until Redis was asked for the first time; `now` is the epoch until then.
    package var isSynced: Bool { state.withLock { $0.synced } }

    package var now: Timestamp { Timestamp(milliseconds: microseconds / 1000) }

    /// Now in microseconds since 1970: what a sleep until a due time is measured with.
    package var microseconds: Int64 {
        state.withLock { state in
            guard source == .redis else { return state.last }
            state.last = max(state.last, state.estimate(at: .now))
            return state.last
        }
    }

    /// What it is at the latest, in whole milliseconds: from here a delay is measured, so that it is never shorter than asked.
    package var latest: Timestamp {
        let (time, more) = (microseconds, state.withLock { $0.uncertainty })
        return Timestamp(milliseconds: (time + more + 999) / 1000)
    }

    /// What a script gets as ARGV[1].
    package var argument: String {
        let now = now.milliseconds
        return state.withLock { $0.stepped } ? "\(now) stepped" : "\(now)"
    }

    package func advance(by duration: Duration) {
        state.withLock { $0.last += duration.milliseconds * 1000 }
    }

    package func set(_ now: Timestamp) {
        state.withLock { $0.last = now.milliseconds * 1000 }
    }

    /// Asks Redis for TIME. `refusedAt` is the last time a script answered `clock` with: where Redis itself now lies
    /// a second or more before it, its clock was set back, and the next scripts say so.
    package func sync(over redis: any RedisCommands, refusedAt: Int64? = nil) async throws(RedisError) {
        guard source == .redis else { return }
        let sent = ContinuousClock.now
        let reply = try await redis.send(RedisCommand("TIME"))
        let received = ContinuousClock.now
        guard let parts = reply.array, parts.count == 2, let seconds = parts[0].int64, let micros = parts[1].int64
        else { return }
        state.withLock { state in
            let base = seconds &* 1_000_000 &+ micros
            if base < state.last - 1_000_000 { state.last = base }
            // Both are lower bounds: the higher one is nearer to the truth, unless it lies beyond what the truth can be. The
            // same of the upper bounds, turned round.
            let (known, upper) = (state.estimate(at: received), base + (received - sent).microseconds)
            let fits = state.synced && known <= upper
            let latest = fits ? min(known + state.uncertainty, upper) : upper
            if !fits || known < base { (state.base, state.receivedAt) = (base, received) }
            state.uncertainty = max(0, latest - state.estimate(at: received))
            state.synced = true
            if let refusedAt { state.stepped = base / 1000 < refusedAt - 999 } else { state.stepped = false }
        }
    }
}
