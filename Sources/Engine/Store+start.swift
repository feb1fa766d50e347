/// What is checked and made when a server starts.

import Domain
import RedisLink

extension Store {
    /// The layout of the keys this binary writes; an older binary refuses a newer store.
    package static let schema = 1

    /// Throws `refused` with one clear line where the store was written by a newer version.
    package func checkSchema() async throws(StoreError) {
        let meta = settings.prefix + ":meta"
        _ = try await read(RedisCommand("HSETNX", meta, "schema", String(Self.schema)))
        let found = try await read(RedisCommand("HGET", meta, "schema")).string ?? ""
        guard let version = Int(found) else { throw .refused("\(meta) has no readable schema: \"\(found)\"") }
        guard version <= Self.schema else {
            throw .refused("this Redis holds schema \(version), this Roost knows \(Self.schema): start a newer Roost")
        }
    }

    /// The pair in force: what Redis has, or else `initial`, or else a new one.
    package func signingKeys(initial: SigningKeys?) async throws(StoreError) -> SigningKeys {
        let keys = settings.prefix + ":keys"
        let first = initial ?? SigningKeys.generate()
        _ = try await read(RedisCommand("HSETNX", keys, "current", first.current))
        _ = try await read(RedisCommand("HSETNX", keys, "next", first.next))
        let pair = try await read(RedisCommand("HMGET", keys, "current", "next")).array ?? []
        guard pair.count == 2, let current = pair[0].string, let next = pair[1].string else {
            throw .broken("\(keys) holds no pair of signing keys")
        }
        return SigningKeys(current: current, next: next)
    }

    /// True where Redis takes writes now; the text says why not.
    package func checkWrites() async -> String? {
        do {
            _ = try await redis.send(RedisCommand("SET", key("ready"), "1", "PX", "60000"))
            return nil
        } catch {
            return "Redis takes no writes: \(error)"
        }
    }
}
