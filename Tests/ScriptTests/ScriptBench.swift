import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// The scripts over a real Redis, with a clock that is a number and `audit` after every step.
final class ScriptBench {
    let redis: TestRedis
    var now: Int64 = 1_735_689_600_000

    init() throws { redis = try TestRedis() }

    func run(_ script: Script, _ arguments: String...) async throws -> [RedisValue] { try await run(script, arguments) }

    /// - Parameter claims: the caller's claim comes next.
    func run(_ script: Script, _ arguments: [String], claims: Bool = false) async throws -> [RedisValue] {
        let reply = try await redis.client.run(
            script, keys: ["roost:{0}"],
            arguments: (["\(now)" + (claims ? " claims" : "")] + arguments).map(RedisPart.text))
        #expect(try await redis.audit() == [])
        return reply.array ?? []
    }

    /// - Parameter gate: as `Lane.gate` writes it.
    func publish(
        _ id: String, due: Int64? = nil, lane: String = "host:a", gate: String = "", dedup: String = "",
        claims: Bool = false
    ) async throws -> String? {
        let answer = try await run(
            Scripts.publish, item(id, due: due, lane: lane, gate: gate, dedup: dedup), claims: claims)
        return answer.last?.array?.first?.string ?? answer.last?.string
    }

    /// A publish that takes a claim of a node along: what it answers for its message, and for the claim.
    func publish(
        _ id: String, due: Int64? = nil, lane: String = "host:a", gate: String = "", carrying number: Int,
        of node: String, capacity: Int = 100, most: Int = 128
    ) async throws -> (status: String?, claim: [RedisValue]) {
        let answer = try await run(
            Scripts.publish,
            item(id, due: due, lane: lane, gate: gate) + [node, "\(number)"] + limits(capacity: capacity, most: most))
        return (answer.count > 1 ? answer[1].string : nil, answer.last?.array ?? [])
    }

    /// Of a claim, from the capacity to the lanes to look at.
    private func limits(capacity: Int = 100, most: Int) -> [String] {
        ["\(capacity)", "1", "\(most)", "4000000", "16", "256"]
    }

    private func item(_ id: String, due: Int64?, lane: String, gate: String, dedup: String = "") -> [String] {
        let request = #"{"url":"http://a"}"#
        let item =
            gate.isEmpty && dedup.isEmpty
            ? ["/", "100", "body", id, lane, "\(due ?? now)", request]
            : ["", "", "body", "", "100", "1", id, lane, "\(due ?? now)", request, gate, dedup]
        return ["20000", "600000", "0", "1"] + item
    }

    func renew(_ node: String) async throws { _ = try await run(Scripts.renew, node, "\(now + 10_000)", "extend") }

    func claim(
        _ node: String, _ number: Int, resent: Bool = false, follows: Bool = false, most: Int = 128
    ) async throws -> [(id: String, place: String)] {
        let how = resent ? "resent" : follows ? "follows" : ""
        let reply = try await run(Scripts.claim, [node, "\(number)", how] + limits(most: most) + [""])
        return reply.dropFirst(3).compactMap { $0.array }.map { ($0[0].string ?? "", $0[1].string ?? "") }
    }

    func settle(
        _ node: String, _ id: String, _ place: String, _ step: String, _ value: String? = nil, callback: String? = nil
    )
        async throws -> String?
    {
        var words = [
            node, "60000", "1000000", "20000", "1", id, place, step, "decided", value ?? "1000", "500", "{}", "",
            "boom",
            step == "delivered" ? "" : #"{"error":"boom","status":500}"#, "100",
        ]
        words += callback.map { ["1", $0, "host:cb", "\(now)", "{}", "", "envelope", "100"] } ?? ["0"]
        let reply = try await redis.client.run(
            Scripts.settle, keys: ["roost:{0}"], arguments: (["\(now)"] + words).map(RedisPart.text))
        #expect(try await redis.audit() == [])
        return reply.array?.last?.string
    }
}

extension ScriptBench {
    /// Everything that is due now.
    func promote() async throws { _ = try await run(Scripts.promote, "200") }

    func change(_ lane: String, _ words: String...) async throws -> String? {
        let padded = words + Array(repeating: "", count: 4 - words.count)
        return try await run(Scripts.gateSet, [lane] + padded + ["name", "call-\(UInt64.random(in: .min ... .max))"])
            .first?.string
    }

    /// As `gate_read` answers them: rate count, slots held, waiting, messages.
    func counts(_ lane: String) async throws -> [Int64] {
        let gate = try await run(Scripts.gateRead, lane)[1].array ?? []
        return gate.count == 15 ? (8...11).map { gate[$0].int64 ?? -1 } : []
    }
}
