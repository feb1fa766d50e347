/// A Redis that keeps the calls of one script that store messages, or their answers, until it is released.

import RedisLink
import Synchronization

package final class SlowRedis: RedisCommands {
    private struct State {
        var begun = 0
        var released = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watcher: (calls: Int, CheckedContinuation<Void, Never>)?
    }

    private let redis: any RedisCommands
    private let digest: String
    private let keepsAnswers: Bool
    private let state = Mutex(State())

    package init(_ redis: any RedisCommands, _ script: Script, keepsAnswers: Bool = false) {
        (self.redis, digest, self.keepsAnswers) = (redis, script.digest, keepsAnswers)
    }

    package func perform(_ work: @escaping @Sendable () -> Void) { redis.perform(work) }
    package func performHere(_ work: @escaping @Sendable () -> Void) { redis.performHere(work) }

    package var begun: Int { state.withLock { $0.begun } }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        // A server also publishes nothing, to see whether there is room.
        let text = String(decoding: command.encoded, as: UTF8.self)
        guard text.contains(digest), text.contains("msg_") else { return try await redis.send(command) }
        if !keepsAnswers { await keep() }
        let answer = try await redis.send(command)
        if keepsAnswers { await keep() }
        return answer
    }

    private func keep() async {
        await withCheckedContinuation { continuation in
            let (isReleased, watcher) = state.withLock { state in
                state.begun += 1
                if !state.released { state.waiting.append(continuation) }
                guard let watcher = state.watcher, watcher.calls <= state.begun else {
                    return (state.released, nil as CheckedContinuation<Void, Never>?)
                }
                state.watcher = nil
                return (state.released, watcher.1)
            }
            watcher?.resume()
            if isReleased { continuation.resume() }
        }
    }

    package func hasBegun(calls: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.begun < calls { state.watcher = (calls, continuation) }
                return state.begun >= calls
            }
            if isThere { continuation.resume() }
        }
    }

    package func release() {
        let waiting = state.withLock { state in
            defer { (state.released, state.waiting) = (true, []) }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}
