/// What `roost doctor` finds wrong in the store. Reads only; nothing here is in the path of a message.

import Domain
import RedisLink

extension Store {
    /// How many records are set aside; and of those beyond `known`, the newest first, a few. Where Redis does not tell, what was
    /// known.
    package func aside(beyond known: Int) async -> (count: Int, newest: [String]) {
        guard let count = try? await redis.send(RedisCommand("LLEN", key("aside"))).int64 else { return (known, []) }
        guard count > known else { return (Int(count), []) }
        let last = min(Int(count) - known, 20) - 1
        let lines = try? await redis.send(RedisCommand("LRANGE", key("aside"), "0", "\(last)")).array
        return (Int(count), lines?.compactMap(\.string) ?? [])
    }

    /// One finding a line; empty where all is well. What could not be looked at is a finding, too.
    package func examine() async -> [String] {
        var lines: [String] = []
        for look in [setAside, lateness, brokenInvariants] {
            do {
                lines += try await look()
            } catch {
                lines.append("store: \(error)")
            }
        }
        return lines
    }

    /// Live messages, and the nodes whose lease has not ended.
    package func census() async throws(StoreError) -> (messages: Int64, nodes: Int) {
        let messages = try await read(RedisCommand("ZCARD", key("messages"))).int64 ?? 0
        let now = String(clock.now.milliseconds)
        let nodes = try await read(RedisCommand("ZCOUNT", key("nodes"), now, "+inf")).int64 ?? 0
        return (messages, Int(clamping: nodes))
    }

    private static let mostAside: Int64 = 100

    /// Records that could not be read, the latest first.
    private func setAside() async throws(StoreError) -> [String] {
        let count = try await read(RedisCommand("LLEN", key("aside"))).int64 ?? 0
        let records = try await read(RedisCommand("LRANGE", key("aside"), "0", String(Self.mostAside - 1))).array ?? []
        var lines = records.map { "aside: \($0.string ?? "")" }
        if count > Self.mostAside { lines.append("aside: \(count - Self.mostAside) more in \(key("aside"))") }
        return lines
    }

    /// What somebody should have done by now.
    private func lateness() async throws(StoreError) -> [String] {
        var lines: [String] = []
        let (messages, alive) = try await census()
        let schedules = try await read(RedisCommand("ZCARD", key("schedules"))).int64 ?? 0
        if alive == 0, messages + schedules > 0 {
            lines.append(
                "nodes: no server that delivers is alive; \(messages) messages and \(schedules) schedules wait")
        }
        for (node, until) in try await firsts(of: "nodes", 1000) {
            let held = try await read(RedisCommand("HLEN", key("active:\(node)"))).int64 ?? 0
            guard held > 0, let ago = overdue(until) else { continue }
            lines.append(
                "nodes: the lease of \(node) ended \(ago) ago, and nobody took over the \(held) messages it holds")
        }
        for (family, what) in [("due", "message"), ("schedules", "schedule")] {
            guard let (id, at) = try await firsts(of: family, 1).first, let ago = overdue(at) else { continue }
            lines.append("\(family): the \(what) \(id) is late by \(ago)")
        }
        return lines
    }

    /// How long ago, where that is long for a system whose servers live.
    private func overdue(_ time: Int64) -> String? {
        let late = Saturating.subtract(clock.now.milliseconds, time)
        return late > 60_000 ? "\(late / 1000) s" : nil
    }

    /// The lowest members with their scores in ms; those without a time (`inf`) are left out.
    private func firsts(of family: String, _ count: Int) async throws(StoreError) -> [(String, Int64)] {
        let reply =
            try await read(RedisCommand("ZRANGE", key(family), "0", String(count - 1), "WITHSCORES")).array ?? []
        return stride(from: 0, to: reply.count - 1, by: 2).compactMap { index in
            guard let member = reply[index].string, let score = reply[index + 1].string.flatMap(Double.init),
                let time = Int64(exactly: score.rounded())
            else { return nil }
            return (member, time)
        }
    }

    /// `lua/inspect/audit.lua`, whole. While servers work its sums may be off by what moved between two pages: so what it
    /// finds must be found again.
    private func brokenInvariants() async throws(StoreError) -> [String] {
        let first = try await audit()
        guard !first.isEmpty else { return [] }
        let pause: Duration = try await census().nodes > 0 ? .seconds(1) : .zero
        try? await Task.sleep(for: pause)
        let second = Set(try await audit())
        return first.filter(second.contains).map { "store: \($0)" }
    }

    private static let auditScript = Script(
        name: "audit", source: String(decoding: PackageResources.audit_lua, as: UTF8.self))

    private func audit() async throws(StoreError) -> [String] {
        var cursor = "0"
        var findings: [String] = []
        repeat {
            let reply: [RedisValue]
            do {
                reply =
                    try await redis.run(Self.auditScript, keys: [settings.root], arguments: [.text(cursor)]).array ?? []
            } catch {
                if case .server(let text) = error { throw .broken("audit: \(text)") }
                throw .unavailable
            }
            guard let next = reply.first?.string else { throw .broken("audit answered nothing") }
            findings += reply.dropFirst().compactMap(\.string)
            cursor = next
        } while cursor != "0"
        return findings
    }
}
