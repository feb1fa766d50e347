/// A Lua script and the way it is run: by digest, loaded again where Redis has forgotten it.

import Crypto

package struct Script: Sendable {
    package let name: String
    package let source: String
    /// SHA-1 of the source in hex: what EVALSHA wants.
    package let digest: String

    package init(name: String, source: String) {
        (self.name, self.source) = (name, source)
        digest = Insecure.SHA1.hash(data: Array(source.utf8)).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }

    package func command(keys: [String], arguments: [RedisPart]) -> RedisCommand {
        RedisCommand(
            parts: [.text("EVALSHA"), .text(digest), .integer(Int64(keys.count))] + keys.map(RedisPart.text) + arguments
        )
    }
}

extension RedisCommands {
    /// Runs the script with EVALSHA; after NOSCRIPT (a restart, SCRIPT FLUSH) loads it and runs it again.
    package func run(_ script: Script, keys: [String], arguments: [RedisPart]) async throws(RedisError) -> RedisValue {
        let command = script.command(keys: keys, arguments: arguments)
        do {
            return try await send(command)
        } catch {
            guard error.isNoScript else { throw error }
        }
        _ = try await send(RedisCommand("SCRIPT", "LOAD", script.source))
        return try await send(command)
    }
}
