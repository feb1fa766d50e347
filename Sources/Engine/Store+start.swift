/// What is checked and made when a server starts.

import Domain
import RedisLink

extension Store {
    /// The layout of the keys this binary writes; an older binary refuses a newer store.
    package static let schema = 1

    /// Throws `refused` with one clear line where the store was written by a newer version.
    package func checkSchema() async throws(StoreError) {
        let meta = settings.prefix + ":meta"
        if try await read(RedisCommand("HGET", meta, "schema")) == .null {
            _ = try await read(RedisCommand("HSETNX", meta, "schema", String(Self.schema)))
        }
        if let problem = try await schemaProblem() { throw .refused(problem) }
    }

    /// Why this binary must not touch the store: nil where it may, or where there is none yet.
    package func schemaProblem() async throws(StoreError) -> String? {
        let meta = settings.prefix + ":meta"
        guard let found = try await read(RedisCommand("HGET", meta, "schema")).string else { return nil }
        guard let version = Int(found) else { return "\(meta) has no readable schema: \"\(found)\"" }
        guard version > Self.schema else { return nil }
        return "this Redis holds schema \(version), this Roost knows \(Self.schema): start a newer Roost"
    }

    /// True where somebody emptied Redis under a running process. What every process needs is written again, `keys` among it,
    /// so that receivers and other processes go on with the pair they know.
    package func mendEmptied(keys: SigningKeys) async throws(StoreError) -> Bool {
        guard try await read(RedisCommand("HGET", settings.prefix + ":meta", "schema")) == .null else { return false }
        try await checkSchema()
        try await configureLog()
        _ = try await signingKeys(initial: keys)
        return true
    }

    /// Tells the scripts how large the log may grow. The last process to start decides for all.
    package func configureLog() async throws(StoreError) {
        let limit = String(settings.logMaxBytes)
        if try await read(RedisCommand("HGET", key("log"), "limit")).string == limit { return }
        _ = try await read(RedisCommand("HSET", key("log"), "limit", limit))
    }

    /// The next key becomes the current one and a new one takes its place; answers the new pair. Nodes hear of it at once.
    package func rotateKeys() async throws(StoreError) -> SigningKeys {
        let hash = settings.prefix + ":keys"
        while true {
            let pair = try await read(RedisCommand("HMGET", hash, "current", "next")).array ?? []
            guard pair.count == 2, let next = pair[1].string else {
                throw .broken("\(hash) holds no pair of signing keys")
            }
            let new = SigningKeys.generate().next
            let reply = try await scripts.untilAnswered(
                Scripts.keysRotate, [.text(next), .text(new), .text(key("wake"))], root: hash,
                deadline: .now + settings.storeTimeout)
            if reply.first?.string == "ok" { return SigningKeys(current: next, next: new) }
        }
    }

    /// The pair in force: what Redis has, or else `initial`, or else a new one.
    package func signingKeys(initial: SigningKeys?) async throws(StoreError) -> SigningKeys {
        let keys = settings.prefix + ":keys"
        if let pair = try await keyPair(keys) { return pair }
        let first = initial ?? SigningKeys.generate()
        _ = try await read(RedisCommand("HSETNX", keys, "current", first.current))
        _ = try await read(RedisCommand("HSETNX", keys, "next", first.next))
        guard let pair = try await keyPair(keys) else { throw .broken("\(keys) holds no pair of signing keys") }
        return pair
    }

    private func keyPair(_ keys: String) async throws(StoreError) -> SigningKeys? {
        let pair = try await read(RedisCommand("HMGET", keys, "current", "next")).array ?? []
        guard pair.count == 2, let current = pair[0].string, let next = pair[1].string else { return nil }
        return SigningKeys(current: current, next: next)
    }

    /// True where Redis takes writes now; the text says why not.
    package func checkWrites() async -> String? {
        do {
            _ = try await scripts.sheddingLog { () throws(RedisError) in
                try await redis.send(RedisCommand("SET", key("ready"), "1", "PX", "60000"))
            }
            return nil
        } catch {
            return "Redis takes no writes: \(error)"
        }
    }
}
