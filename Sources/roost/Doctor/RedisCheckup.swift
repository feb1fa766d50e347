/// What `roost doctor` looks at in Redis itself: what a server refuses at its start, and what an operator wants to know
/// before the night.

import Domain
import Engine
import RedisLink

struct RedisCheckup {
    let redis: any RedisCommands
    let settings: Settings
    /// Of the machine this runs on, ms since 1970.
    let now: Int64

    private(set) var findings: [String] = []
    /// One line that says what was looked at.
    private(set) var summary = ""

    init(redis: any RedisCommands, settings: Settings, now: Int64) {
        (self.redis, self.settings, self.now) = (redis, settings, now)
    }

    mutating func run() async throws(RedisError) {
        let info = try await RedisInfo(
            of: redis, sections: ["server", "memory", "persistence", "replication", "stats", "clients"])
        let trip = try await roundTrip()
        let version = info["redis_version"] ?? "unknown"
        if info.majorVersion < 7 { find("version \(version) is too old: Roost needs 7.0 or later") }
        if info["role"] == "slave" { find("it is a replica: name the master in ROOST_REDIS_URL") }
        if trip > .milliseconds(10) { find("a round trip takes \(Self.text(trip)): every message needs several") }
        checkMemory(info)
        let disk = await checkDisk(info)
        try await checkClock()
        summary = "Redis \(version), \(disk), round trip \(Self.text(trip))" + (await advice(info))
    }

    /// What costs only time or memory is no finding. Nothing where Redis does not tell.
    private func advice(_ info: RedisInfo) async -> String {
        let hasFile = info["aof_enabled"] == "1"
        let wanted: [(name: String, value: String, isFine: (Int64) -> Bool)] = [
            ("hash-max-listpack-value", "2048", { $0 >= 2048 }), ("hash-max-listpack-entries", "32", { $0 <= 32 }),
            // Queue traffic writes much and keeps little: the file would be rewritten every few seconds.
            ("auto-aof-rewrite-min-size", "256mb", { !hasFile || $0 >= 256 << 20 }),
        ]
        var better: [String] = []
        for (name, value, isFine) in wanted {
            let reply = try? await redis.send(RedisCommand("CONFIG", "GET", name)).array
            guard let found = reply?.last?.string.flatMap({ Int64($0) }), !isFine(found) else { continue }
            better.append("\(name) \(value)")
        }
        return better.isEmpty ? "" : ", would need less memory and time with \(better.joined(separator: ", "))"
    }

    private mutating func find(_ text: String) { findings.append("redis: \(text)") }

    private static func text(_ time: Duration) -> String {
        let microseconds = Int((time / .microseconds(1)).rounded())
        return "\(microseconds / 1000).\(String(microseconds % 1000 + 1000).dropFirst().prefix(2)) ms"
    }

    /// The middle one of a few.
    private func roundTrip() async throws(RedisError) -> Duration {
        var times: [Duration] = []
        for _ in 0..<11 {
            let start = ContinuousClock.now
            _ = try await redis.send(RedisCommand("PING"))
            times.append(ContinuousClock.now - start)
        }
        return times.sorted()[times.count / 2]
    }

    private mutating func checkMemory(_ info: RedisInfo) {
        let policy = info["maxmemory_policy"] ?? "unknown"
        if policy != "noeviction" {
            find("maxmemory-policy is \(policy): messages would be thrown away; it must be noeviction")
        }
        let evicted = info.integer("evicted_keys")
        if evicted > 0 { find("\(evicted) keys were evicted since it started: messages may be among them") }
        let (most, used) = (info.integer("maxmemory"), info.integer("used_memory"))
        if most > 0, Double(used) > 0.9 * Double(most) {
            find("\(used >> 20) of \(most >> 20) MiB are used: when full, the log goes and then publishes are refused")
        }
    }

    private mutating func checkDisk(_ info: RedisInfo) async -> String {
        if info["loading"] == "1" { find("it is still loading its data") }
        guard info["aof_enabled"] == "1" else {
            find("no append-only file: a crash of Redis loses messages; set appendonly yes")
            return "no append-only file"
        }
        if info["aof_last_write_status"] != "ok" {
            find("the last write of the append-only file failed: is the disk full?")
        }
        if info["aof_last_bgrewrite_status"] != "ok" { find("the last rewrite of the append-only file failed") }
        let policy = try? await redis.send(RedisCommand("CONFIG", "GET", "appendfsync")).array?.last?.string
        if policy == "no" {
            find("appendfsync is no: the system decides when messages reach the disk; set everysec or always")
        }
        if settings.ack == .fsync, policy != "always" {
            find("ROOST_ACK is fsync, but appendfsync is \(policy ?? "not told"): a server would refuse to start")
        }
        if case .replica(let count) = settings.ack, info.integer("connected_slaves") < Int64(count) {
            find("ROOST_ACK is replica:\(count), but \(info.integer("connected_slaves")) replicas are connected")
        }
        return "append-only file \(policy ?? "on")"
    }

    /// Servers follow Redis's clock, so that one that is wrong moves every delay and schedule.
    private mutating func checkClock() async throws(RedisError) {
        let time = try await redis.send(RedisCommand("TIME")).array ?? []
        guard let seconds = time.first?.string.flatMap({ Int64($0) }) else { return }
        let difference = Saturating.subtract(seconds, now / 1000)
        if abs(difference) > 5 {
            find(
                "its clock is \(abs(difference)) s \(difference > 0 ? "ahead of" : "behind") this machine's; Roost goes by Redis's"
            )
        }
    }
}
