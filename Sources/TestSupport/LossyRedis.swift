/// A Redis whose answers to one script's calls that store messages are lost, all at once: with their connection.

import RedisLink
import Synchronization

package final class LossyRedis: RedisCommands {
    package typealias Answer = @Sendable (Result<RedisValue, RedisError>) -> Void

    private struct State {
        /// Calls that are to be lost.
        var left = 0
        var lost: [Answer] = []
    }

    private let redis: any RedisCommands
    private let digest: String
    private let state = Mutex(State())

    package init(_ redis: any RedisCommands, _ script: Script) { (self.redis, digest) = (redis, script.digest) }

    /// The answers of the next calls are lost, when all of them have been applied.
    package func lose(_ calls: Int) { state.withLock { $0.left = calls } }

    /// Answers that are lost, and nobody was told yet.
    package var lost: Int { state.withLock { $0.lost.count } }

    package func perform(_ work: @escaping @Sendable () -> Void) { redis.perform(work) }
    package func performHere(_ work: @escaping @Sendable () -> Void) { redis.performHere(work) }
    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue { try await redis.send(command) }

    package func send(_ command: RedisCommand, _ answer: @escaping Answer) {
        let text = String(decoding: command.encoded, as: UTF8.self)
        guard text.contains(digest), text.contains("msg_"), state.withLock({ $0.left > 0 }) else {
            return redis.send(command, answer)
        }
        redis.send(command) { _ in
            let lost = self.state.withLock { state -> [Answer] in
                state.lost.append(answer)
                state.left -= 1
                return state.left == 0 ? exchange(&state.lost, with: []) : []
            }
            for answer in lost { answer(.failure(.outcomeUnknown("lost"))) }
        }
    }
}
