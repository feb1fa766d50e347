/// A Redis in front of which something else happens, once, just before a script runs.

import RedisLink
import Synchronization

package final class RacingRedis: RedisCommands {
    private let redis: any RedisCommands
    private let digest: String
    private let race: @Sendable () async -> Void
    private let hasRaced = Mutex(false)

    package init(_ redis: any RedisCommands, before script: Script, _ race: @escaping @Sendable () async -> Void) {
        (self.redis, digest, self.race) = (redis, script.digest, race)
    }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        if String(decoding: command.encoded.prefix(100), as: UTF8.self).contains(digest) {
            let isFirst = hasRaced.withLock { raced in
                defer { raced = true }
                return !raced
            }
            if isFirst { await race() }
        }
        return try await redis.send(command)
    }
}
