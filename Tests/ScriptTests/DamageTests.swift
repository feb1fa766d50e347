import Engine
import RedisLink
import TestSupport
import Testing

/// What somebody else wrote under a key of ours ends that message at most.
@Suite struct DamageTests {
    private static func message(_ id: String) -> String { "roost:{0}:message:\(id)" }

    private func overwrite(_ id: String, _ bench: ScriptBench) async throws {
        _ = try await bench.redis.send("SET", Self.message(id), "another type")
    }

    /// Without the `audit` of `ScriptBench.run`, which names the damage.
    private func run(_ script: Script, _ arguments: String..., on bench: ScriptBench) async throws -> [RedisValue] {
        let words = (["\(bench.now)"] + arguments).map(RedisPart.text)
        return try await bench.redis.client.run(script, keys: ["roost:{0}"], arguments: words).array ?? []
    }

    private func held(_ bench: ScriptBench) async throws -> [String: String] {
        let fields = try await bench.redis.send("HGETALL", "roost:{0}:active:n1").array?.compactMap(\.string) ?? []
        return Dictionary(
            uniqueKeysWithValues: stride(from: 0, to: fields.count, by: 2).map { (fields[$0], fields[$0 + 1]) })
    }

    /// Story: a claim failed halfway on such a record, and what it had read behind it stayed pending with no owner.
    @Test(arguments: [false, true])
    func aRecordOfAnotherTypeKeepsNothingBehindItFromANode(carried: Bool) async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2", "msg_3"] { _ = try await bench.publish(id) }
        try await overwrite("msg_2", bench)
        if carried {
            _ = try await bench.publish("msg_4", carrying: 1, of: "n1")
        } else {
            _ = try await bench.claim("n1", 1)
        }
        let held = try await held(bench)
        #expect(held.keys.sorted() == (carried ? ["msg_1", "msg_3", "msg_4"] : ["msg_1", "msg_3"]))
        for (id, place) in held { #expect(try await bench.settle("n1", id, place, "delivered") == "delivered") }
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:lane:host:a").int64 == 0)
        #expect(try await bench.redis.send("GET", Self.message("msg_2")).string == "another type")
        #expect(try await bench.redis.send("LLEN", "roost:{0}:aside").int64 == 1)
        await bench.redis.close()
    }

    /// Its slot is free in the claim that finds it, and the next has it.
    @Test func aRecordOfAnotherTypeGivesItsQueuesSlotBack() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_a", "msg_b"] { _ = try await bench.publish(id, lane: "queue:q", gate: GateTests.queue) }
        let first = try #require(try await bench.claim("n1", 1).first)
        #expect(try await bench.settle("n1", "msg_a", first.place, "retry", "\(bench.now)") == "retry")
        try await overwrite("msg_a", bench)
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_b"])
        #expect(try await bench.counts("queue:q") == [0, 1, 0, 1])
        await bench.redis.close()
    }

    @Test func aRecordOfAnotherTypeSettlesAsStaleAndFreesItsQueue() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_a", "msg_b"] { _ = try await bench.publish(id, lane: "queue:q", gate: GateTests.queue) }
        let first = try #require(try await bench.claim("n1", 1).first)
        try await overwrite("msg_a", bench)
        #expect(try await bench.settle("n1", "msg_a", first.place, "delivered", callback: "msg_cb") == "stale")
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_b"])
        await bench.redis.close()
    }

    /// Story: the oldest of the delivered was such a record, and none of the others was ever dropped.
    @Test func aDeliveredRecordOfAnotherTypeIsDroppedWithTheOthers() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for (number, id) in ["msg_1", "msg_2"].enumerated() {
            _ = try await bench.publish(id)
            let held = try #require(try await bench.claim("n1", number + 1).first)
            if number == 1 {
                try await overwrite("msg_1", bench)
                bench.now += 60_001
                _ = try await run(Scripts.renew, "n1", "\(bench.now + 10_000)", "extend", on: bench)
            }
            #expect(try await bench.settle("n1", id, held.place, "delivered") == "delivered")
        }
        #expect(try await bench.redis.send("ZRANGE", "roost:{0}:finished", "0", "-1").array?.map(\.string) == ["msg_2"])
        await bench.redis.close()
    }

    /// Lists and cancels go on past it, and its time comes for nobody.
    @Test func aWaitingRecordOfAnotherTypeStopsNoList() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2"] { _ = try await bench.publish(id, due: bench.now + 5000) }
        try await overwrite("msg_1", bench)
        let page = try await run(
            Scripts.list, "messages", "earliestFirst", "", "-inf", "+inf", "10", "1000", on: bench)
        #expect(page.dropFirst(2).map { $0.array?.first?.string } == ["msg_1", "msg_2"])
        #expect(try await run(Scripts.why, "msg_1", on: bench).map(\.string).prefix(2) == ["ok", "none"])
        #expect(try await run(Scripts.cancel, "call-1", "msg_1", "msg_2", on: bench)[1].int64 == 1)
        bench.now += 5000
        try await bench.promote()
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        #expect(try await bench.claim("n1", 1).isEmpty)
        await bench.redis.close()
    }

    /// Story: one lane whose key somebody had taken kept all that was due behind it, of whatever host.
    @Test(arguments: ["lane:host:a", "open"])
    func aKeyOfAnotherTypeKeepsNothingButItsOwnMessagesWaiting(key: String) async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for lane in ["host:a", "host:b"] { _ = try await bench.publish(lane, due: bench.now + 5000, lane: lane) }
        _ = try await bench.redis.send("SET", "roost:{0}:\(key)", "another type")
        bench.now += 5000
        let next = try await run(Scripts.promote, "200", on: bench)[2].int64
        #expect(next == bench.now + 60_000, "it is tried again in a minute")
        _ = try await bench.redis.send("DEL", "roost:{0}:\(key)")
        let others = key == "open" ? [] : ["host:b"]
        #expect(try await bench.redis.send("LLEN", "roost:{0}:aside").int64 == Int64(2 - others.count))
        #expect(try await bench.claim("n1", 1).map(\.id) == others)
        bench.now += 60_000
        try await bench.renew("n1")
        try await bench.promote()
        #expect(try await Set(bench.claim("n1", 2).map(\.id) + others) == ["host:a", "host:b"])
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:due").int64 == 0)
        await bench.redis.close()
    }

    /// The same for what goes back from a node.
    @Test func whatCannotGoBackIntoItsLaneWaitsForIt() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        _ = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.redis.send("SET", "roost:{0}:again:host:a", "another type")
        #expect(try await run(Scripts.handBack, "n1", "200", on: bench)[1].int64 == 1)
        _ = try await bench.redis.send("DEL", "roost:{0}:again:host:a")
        bench.now += 60_000
        try await bench.renew("n1")
        try await bench.promote()
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_1"])
        await bench.redis.close()
    }

    /// Story: a queue that such a record's end opened, within a publish that carried its node's claim, had nobody told of it
    /// before the next renewal.
    @Test func aQueueOpenedWithinACarriedClaimIsClaimedNext() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_a", "msg_b"] { _ = try await bench.publish(id, lane: "queue:q", gate: GateTests.queue) }
        let first = try #require(try await bench.claim("n1", 1).first)
        #expect(try await bench.settle("n1", "msg_a", first.place, "delivered", callback: "msg_cb") == "delivered")
        _ = try await bench.redis.send("HDEL", Self.message("msg_cb"), "request")
        let answer = try await bench.publish("msg_1", carrying: 2, of: "n1")
        #expect(answer.claim.dropFirst(3).map { $0.array?.first?.string } == ["msg_1"])
        #expect(answer.claim[1].string == "new", "the queue is open, and nobody claims")
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:idle").int64 == 0)
        #expect(try await bench.claim("n1", 3).map(\.id) == ["msg_b"])
        await bench.redis.close()
    }
}
