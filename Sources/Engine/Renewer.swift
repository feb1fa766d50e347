/// Says that this node is alive, keeps its clock, and finds what a lost claim reply left behind.

import Domain
import Logging
import RedisLink
import Synchronization

package final class Renewer: Sendable {
    private struct State {
        /// Every renewal since then was answered within a third of a lease.
        var steadySince: ContinuousClock.Instant?
        /// A full renewal is owed: a claim or a connection may have been lost.
        var owesFull = true
        var lastFull: ContinuousClock.Instant?
    }

    private let scripts: ScriptCaller
    private let node: String
    private let lease: Duration
    private let held: HeldMessages
    private let wakeup: Wakeup
    private let state = Mutex(State())
    private let answered: @Sendable (_ nextDue: Int64?, _ openLanes: Int64) -> Void

    /// `answered` gets the earliest due time and the length of the ring: the safety net under the wake-ups.
    package init(
        scripts: ScriptCaller, node: String, lease: Duration, held: HeldMessages, wakeup: Wakeup,
        answered: @escaping @Sendable (_ nextDue: Int64?, _ openLanes: Int64) -> Void
    ) {
        (self.scripts, self.node, self.lease, self.held) = (scripts, node, lease, held)
        (self.wakeup, self.answered) = (wakeup, answered)
    }

    /// After a reconnect, or where a claim's reply was lost: the next renewal names all this node knows.
    package func oweFull() { state.withLock { $0.owesFull = true } }

    /// Renew now instead of at the next third of the lease.
    package func hurry() { wakeup.signal() }

    package func run(_ watch: LoopWatch) async {
        while !Task.isCancelled {
            watch.beat()
            do {
                try await step()
                watch.succeeded()
                await wakeup.wait(atMost: lease / 3)
            } catch {
                await wakeup.wait(atMost: min(lease / 10, watch.failed(error)))
            }
        }
    }

    package func step() async throws(RedisError) {
        let started = ContinuousClock.now
        let full = state.withLock { state in
            state.owesFull || state.lastFull.map { started - $0 > .seconds(60) } ?? true
        }
        do {
            try await scripts.clock.sync(over: scripts.redis)
            try await renew(full: full)
        } catch {
            state.withLock { ($0.steadySince, $0.owesFull) = (nil, true) }
            throw error
        }
        state.withLock { state in
            if full { (state.owesFull, state.lastFull) = (false, started) }
            let quick = ContinuousClock.now - started <= lease / 3
            if !quick { state.steadySince = nil } else if state.steadySince == nil { state.steadySince = started }
        }
    }

    /// True while every renewal during the last whole lease was answered in time: only then may this node take
    /// another for dead. After an outage of Redis everybody renews before anybody reclaims.
    package var isSteady: Bool {
        state.withLock { $0.steadySince.map { ContinuousClock.now - $0 >= lease } ?? false }
    }

    private func renew(full: Bool) async throws(RedisError) {
        let until = scripts.clock.now.milliseconds + lease.milliseconds
        var arguments: [RedisPart] = [.text(node), .integer(until)]
        if full {
            let (ids, number) = held.snapshot()
            arguments.append(.integer(number))
            arguments += ids.map(RedisPart.text)
        } else {
            arguments.append(.text("extend"))
        }
        let reply = try await scripts.once(Scripts.renew, arguments)
        guard reply.count == 4, reply[0].string == "ok" else { throw .notSent("renew was refused") }
        if let given = reply[3].int64, given > 0 {
            scripts.logger.notice("gave back \(given) messages of a claim whose answer was lost")
        }
        answered(reply[1].string.flatMap { Int64($0) }, reply[2].int64 ?? 0)
    }
}
