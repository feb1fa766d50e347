import Domain
import Engine
import Foundation
import RedisLink
import TestSupport
import Testing

/// Each transition of `lua/` against a real Redis, with `audit` clean after every step.
@Suite struct ScriptTests {
    @Test func aMessageIsStoredOnceHoweverOftenItArrives() async throws {
        let bench = try ScriptBench()
        #expect(try await bench.publish("msg_1") == "stored")
        #expect(try await bench.publish("msg_1") == "stored")
        #expect(try await bench.redis.send("XLEN", "roost:{0}:lane:host:a").int64 == 1)
        await bench.redis.close()
    }

    @Test func aResentClaimAnswersTheSame() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for i in 0..<5 { _ = try await bench.publish("msg_\(i)") }
        let first = try await bench.claim("n1", 1)
        let again = try await bench.claim("n1", 1, resent: true)
        #expect(first.map(\.place) == again.map(\.place) && first.count == 5)
        await bench.redis.close()
    }

    /// Story: a claim read several entries at once, and those beyond its limit of bytes were never given to anybody.
    @Test func whatAClaimReadsBeyondItsLimitWaitsAsBefore() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for i in 0..<9 { _ = try await bench.publish("msg_\(i)") }
        var taken: [String] = []
        for number in 1...4 {
            let reply = try await bench.run(
                Scripts.claim, "n1", "\(number)", "", "100", "1", "128", "30", "16", "256", "")
            let ids = reply.dropFirst(3).compactMap { $0.array?.first?.string }
            // Of 22 bytes each the second goes beyond 30.
            #expect(ids.count == 2 && reply[1].string == "new", "\(number)")
            taken += ids
        }
        #expect(try await bench.claim("n1", 5).map(\.id) == ["msg_8"])
        #expect(taken == (0..<8).map { "msg_\($0)" })
        await bench.redis.close()
    }

    /// A caller whose claim comes next wakes nobody; that claim wakes the others where it leaves something, and only then.
    @Test func whoeverClaimsNextWakesTheOthersOnlyForWhatItLeaves() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        func everybodySleeps() async throws -> Bool {
            try await bench.redis.send("EXISTS", "roost:{0}:idle").int64 == 1
        }

        _ = try await bench.claim("n1", 1)
        #expect(try await everybodySleeps())
        _ = try await bench.publish("msg_1", claims: true)
        #expect(try await everybodySleeps(), "woken by a call whose caller claims next")
        #expect(try await bench.claim("n1", 2, follows: true).map(\.id) == ["msg_1"])
        #expect(try await everybodySleeps(), "woken for nothing")
        for id in ["msg_2", "msg_3"] { _ = try await bench.publish(id, claims: true) }
        #expect(try await bench.claim("n1", 3, follows: true, most: 1).map(\.id) == ["msg_2"])
        #expect(try await !everybodySleeps(), "msg_3 waits and nobody knows")
        #expect(try await bench.redis.audit() == [])
        await bench.redis.close()
    }

    /// A publish gives the node it names what a claim would, and wakes the others only for what it leaves.
    @Test func aPublishCarriesAClaim() async throws {
        let bench = try ScriptBench()
        func isAsleep() async throws -> Bool { try await bench.redis.send("EXISTS", "roost:{0}:idle").int64 == 1 }
        func field(_ id: String, _ name: String) async throws -> String? {
            try await bench.redis.send("HGET", "roost:{0}:message:\(id)", name).string
        }
        let expired = try await bench.publish("msg_0", carrying: 1, of: "n1")
        #expect(expired.status == "stored" && expired.claim.map(\.string) == ["expired"])
        try await bench.renew("n1")
        #expect(try await bench.claim("n1", 1).map(\.id) == ["msg_0"])

        // Plain: the caller has the rest. Its record is written once, with the claim in it.
        let plain = try await bench.publish("msg_1", carrying: 2, of: "n1")
        #expect(plain.status == "stored" && plain.claim.prefix(3).map(\.string) == ["ok", "", nil])
        let held = plain.claim.last?.array?.compactMap(\.string) ?? []
        #expect(held.count == 2 && held.first == "msg_1" && held.last?.hasSuffix(" 2") == true)
        #expect(try await field("msg_1", "state") == "active")
        #expect(try await isAsleep())
        #expect(try await bench.settle("n1", "msg_1", held[1], "delivered") == "delivered")
        // Behind a key: as `claim` answers it.
        let keyed = try await bench.publish(
            "msg_2", lane: "flow:k", gate: "/ k 1 0 1 k", carrying: 3, of: "n1")
        #expect(keyed.claim.last?.array?.count == 7)
        let capped = try await bench.publish(
            "msg_3", lane: "flow:k", gate: "/ k 1 0 1 k", carrying: 4, of: "n1")
        #expect(capped.claim.count == 3 && capped.status == "stored")
        #expect(try await isAsleep(), "nobody may start what waits for the key")

        // What is left is written as what waits, and the others are told.
        let later = try await bench.publish("msg_4", due: bench.now + 5000, carrying: 5, of: "n1")
        #expect(later.claim.count == 3 && later.status == "stored")
        #expect(try await field("msg_4", "place") == "due")
        let full = try await bench.publish("msg_5", carrying: 6, of: "n1", capacity: 2)
        #expect(full.claim.map(\.string) == ["ok", "full", nil])
        #expect(try await field("msg_5", "state") == "waiting")
        #expect(try await field("msg_5", "body") == "body")
        #expect(try await !isAsleep(), "msg_5 waits and nobody knows")

        // An answer that was lost: sent again, the publish changes nothing, and the claim answers what it took.
        _ = try await bench.claim("n1", 7)
        _ = try await bench.publish("msg_6", lane: "host:b", carrying: 8, of: "n1")
        #expect(try await bench.publish("msg_6", lane: "host:b") == "stored")
        #expect(try await bench.claim("n1", 8, resent: true).map(\.id) == ["msg_6"])
        await bench.redis.close()
    }

    @Test func anAttemptSettlesOnceAndMakesOneCallback() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        let held = try #require(try await bench.claim("n1", 1).first)
        #expect(try await bench.settle("n1", held.id, held.place, "delivered", callback: "msg_cb") == "delivered")
        #expect(try await bench.settle("n1", held.id, held.place, "delivered", callback: "msg_cb2") == "stale")
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:message:msg_cb").int64 == 1)
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:message:msg_cb2").int64 == 0)
        await bench.redis.close()
    }

    /// Story: indexes are written at a call's end, and one of another type ended the call with its attempts half settled.
    @Test(arguments: [("history:1", 1), ("finished", 2)])
    func anIndexThatCannotBeWrittenStopsNoOther(index: String, problems: Int) async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        let held = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.redis.send("SET", "roost:{0}:\(index)", "another type")
        let words = [
            "\(bench.now)", "n1", "60000", "1000000", "20000", "1", held.id, held.place, "plain", "1000",
        ]
        let reply = try await bench.redis.client.run(
            Scripts.settle, keys: ["roost:{0}"], arguments: words.map(RedisPart.text))
        #expect(reply.array?.last?.string == "delivered")
        #expect(try await bench.redis.send("HLEN", "roost:{0}:active:n1").int64 == 0)
        let finished = try await bench.redis.send("TYPE", "roost:{0}:finished").string
        #expect(finished == (index == "finished" ? "string" : "zset"))
        #expect(try await bench.redis.send("HGET", "roost:{0}:counts", "finishedBytes").int64 ?? 0 > 0)
        let aside = try await bench.redis.send("LRANGE", "roost:{0}:aside", "0", "-1").array?.compactMap(\.string) ?? []
        #expect(aside.count == problems && aside.last?.contains(" roost:{0}:\(index): WRONGTYPE") == true)
        await bench.redis.close()
    }

    @Test func aDelayedMessageIsPromotedWhenItsTimeHasCome() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_late", due: bench.now + 5000)
        #expect(try await bench.claim("n1", 1).isEmpty)
        #expect(try await bench.run(Scripts.promote, "200")[1].int64 == 0)
        bench.now += 5000
        #expect(try await bench.run(Scripts.promote, "200")[1].int64 == 1)
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_late"])
        await bench.redis.close()
    }

    @Test func aDeadNodesMessagesGetANewLifeAndItsLateResultIsStale() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        let held = try #require(try await bench.claim("n1", 1).first)
        bench.now += 11_000
        try await bench.renew("n2")
        #expect(try await bench.run(Scripts.reclaim, "n2", "200")[1].int64 == 1)
        let second = try #require(try await bench.claim("n2", 1).first)
        #expect(second.id == "msg_1" && second.place != held.place)
        #expect(try await bench.settle("n1", held.id, held.place, "delivered") == "stale")
        #expect(try await bench.settle("n2", second.id, second.place, "delivered") == "delivered")
        await bench.redis.close()
    }

    @Test func cancelEndsWhatWaitsAndAnswersTheSameTwice() async throws {
        let bench = try ScriptBench()
        _ = try await bench.publish("msg_1")
        _ = try await bench.publish("msg_2", due: bench.now + 100_000)
        #expect(try await bench.run(Scripts.cancel, "call", "msg_1", "msg_2", "msg_none")[1].int64 == 2)
        #expect(try await bench.run(Scripts.cancel, "call", "msg_1", "msg_2", "msg_none")[1].int64 == 2)
        #expect(try await bench.run(Scripts.cancel, "other", "msg_1")[1].int64 == 0)
        await bench.redis.close()
    }

    @Test func theLastFailureMakesADeadLetter() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        let held = try #require(try await bench.claim("n1", 1).first)
        #expect(try await bench.settle("n1", held.id, held.place, "dead", "1735689600000-7") == "dead")
        #expect(try await bench.redis.send("HGET", "roost:{0}:dead:1735689600000-7", "message").string == "msg_1")
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:message:msg_1").int64 == 0)
        await bench.redis.close()
    }

    /// What a script's header names is what it may touch: each file tells its keys, arguments, answer and writes.
    @Test func everyScriptHasAHeader() throws {
        let folder = Contract.top.appendingPathComponent("lua")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
        where name.hasSuffix(".lua")
            && !["prelude.lua", "log.lua", "messages.lua", "taking.lua", "reading.lua"].contains(name)
        {
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            #expect(text.hasPrefix("#!lua"), "\(name)")
            for word in ["KEYS[1]", "ARGV[1]", "returns", "writes"] {
                #expect(text.contains(word), "\(name) lacks \(word)")
            }
        }
    }
}
