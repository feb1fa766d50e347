/// What `roost serve` asks of a Redis before it trusts it with messages.

import CAllocator
import Logging
import RedisLink

struct RedisCheck {
    let redis: any RedisCommands
    /// Where nodes wake each other.
    let channel: String
    let requirePersistence: Bool
    let logger: Logger

    /// Throws one line where this Redis can't be used. Reads INFO: CONFIG may be forbidden.
    func run() async throws {
        let info: RedisInfo
        do {
            info = try await RedisInfo(of: redis, sections: ["server", "memory", "persistence"])
        } catch {
            throw CommandFailure(text: "INFO: \(error)")
        }
        let version = info["redis_version"] ?? "unknown"
        guard info.majorVersion >= 7 else {
            throw CommandFailure(text: "Redis \(version) is too old: Roost needs Redis 7.0 or later")
        }
        let policy = info["maxmemory_policy"] ?? "unknown"
        guard policy == "noeviction" else {
            throw CommandFailure(
                text: "Redis's maxmemory-policy is \(policy): it would throw messages away when memory is full; "
                    + "set it with: redis-cli CONFIG SET maxmemory-policy noeviction")
        }
        do {
            _ = try await redis.send(RedisCommand("PUBLISH", channel, "open"))
        } catch {
            throw CommandFailure(text: "PUBLISH \(channel): \(error); allow it with: ACL SETUSER <user> &\(channel)")
        }
        try await checkPersistence(info)
        logger.info("using Redis \(version), jemalloc \(String(cString: roost_allocator()))")
    }

    private func checkPersistence(_ info: RedisInfo) async throws {
        if info["aof_enabled"] == "1" { return }
        let saves = try? await redis.send(RedisCommand("CONFIG", "GET", "save"))
        let points = saves?.array?.last?.string ?? ""
        let what =
            points.isEmpty
            ? "Redis keeps nothing on disk: a restart of Redis loses every message"
            : "Redis keeps snapshots only: a crash of Redis loses what came after the last one"
        let how = "; set appendonly yes"
        if requirePersistence { throw CommandFailure(text: what + how + " (ROOST_REQUIRE_PERSISTENCE is true)") }
        logger.warning("\(what)\(how)")
    }
}
