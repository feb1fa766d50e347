/// Waits until what was stored is as safe as its publisher asked for.

import Domain
import Logging
import RedisLink
import Synchronization

/// WAIT counts for the writes of its own connection and blocks what is pipelined behind it: so this has a connection of
/// its own, and a write of its own in front of each WAIT. What replicates in order has then replicated all before it.
package final class Confirmer: Sendable {
    private struct Waiting: Sendable {
        var replicas: Int
        var deadline: ContinuousClock.Instant
        var answer: @Sendable (Bool) -> Void
    }

    private struct State {
        var waiting: [Waiting] = []
        var running = false
        /// What Redis said last about its append-only file, and when.
        var synced: (always: Bool, at: ContinuousClock.Instant)?
    }

    /// One WAIT takes this long at most: those who ask for fewer replicas, or come later, are answered meanwhile.
    private static let longestWait = Duration.milliseconds(100)

    private let redis: any RedisCommands
    private let root: String
    private let state = Mutex(State())

    /// - `redis`: a connection that nobody else uses.
    package init(redis: any RedisCommands, root: String) { (self.redis, self.root) = (redis, root) }

    /// Whether Redis syncs its append-only file before it answers. False also where it does not tell: CONFIG may be
    /// forbidden, and a promise must not rest on a guess.
    package func syncsAlways() async -> Bool {
        let now = ContinuousClock.now
        if let known = state.withLock({ $0.synced }), now - known.at < .seconds(5) { return known.always }
        let info = try? await redis.send(RedisCommand("INFO", "persistence")).string
        let policy = try? await redis.send(RedisCommand("CONFIG", "GET", "appendfsync")).array?.last?.string
        let always = info?.contains("aof_enabled:1") == true && policy == "always"
        state.withLock { $0.synced = (always, now) }
        return always
    }

    /// True when so many replicas have everything that was written before this call; false where the deadline came first.
    package func hasReached(replicas: Int, deadline: ContinuousClock.Instant) async -> Bool {
        await withCheckedContinuation { continuation in
            let waiting = Waiting(replicas: replicas, deadline: deadline) { continuation.resume(returning: $0) }
            let start = state.withLock { state in
                state.waiting.append(waiting)
                defer { state.running = true }
                return !state.running
            }
            if start { Task { await drain() } }
        }
    }

    private func drain() async {
        while let round = next() {
            let count = await replicas(
                most: round.map(\.replicas).max() ?? 1, until: round.map(\.deadline).min() ?? .now)
            let now = ContinuousClock.now
            var open: [Waiting] = []
            for waiting in round {
                if waiting.replicas <= count {
                    waiting.answer(true)
                } else if waiting.deadline <= now {
                    waiting.answer(false)
                } else {
                    open.append(waiting)
                }
            }
            state.withLock { $0.waiting = open + $0.waiting }
        }
    }

    private func next() -> [Waiting]? {
        state.withLock { state in
            defer { state.waiting = [] }
            if state.waiting.isEmpty { state.running = false }
            return state.waiting.isEmpty ? nil : state.waiting
        }
    }

    /// How many replicas have what was written before this call; 0 where Redis can't be asked.
    private func replicas(most: Int, until deadline: ContinuousClock.Instant) async -> Int {
        let pause = min(Self.longestWait, max(.milliseconds(1), deadline - ContinuousClock.now))
        do {
            _ = try await redis.send(RedisCommand("SET", "\(root):ack", "1"))
            let reply = try await redis.send(RedisCommand("WAIT", String(most), String(max(1, pause.milliseconds))))
            return Int(reply.int64 ?? 0)
        } catch {
            try? await Task.sleep(for: min(pause, .milliseconds(20)))
            return 0
        }
    }
}
