/// A Redis that counts how often each script is called.

import RedisLink
import Synchronization

package final class CountedRedis: RedisCommands {
    private let redis: any RedisCommands
    private let heads = Mutex<[String]>([])

    package init(_ redis: any RedisCommands) { self.redis = redis }

    package func calls(_ script: Script) -> Int {
        heads.withLock { $0.count { $0.contains(script.digest) } }
    }

    package func perform(_ work: @escaping @Sendable () -> Void) { redis.perform(work) }
    package func performHere(_ work: @escaping @Sendable () -> Void) { redis.performHere(work) }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        heads.withLock { $0.append(String(decoding: command.encoded.prefix(100), as: UTF8.self)) }
        return try await redis.send(command)
    }
}
