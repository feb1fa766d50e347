import Engine
import RedisLink
import TestSupport
import Testing

/// Queues and flow keys, walked through step by step.
@Suite struct GateTests {
    static let queue = "q # 0 0 1 "
    static func flow(_ limits: String = "0 0 1") -> String { "/ k \(limits) k" }
    static func both(_ limits: String = "0 0 1") -> String { "q k \(limits) k" }

    @Test func aQueueLetsOneThroughAtATimeInOrder() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2", "msg_3"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        for (number, id) in ["msg_1", "msg_2", "msg_3"].enumerated() {
            let claimed = try await bench.claim("n1", number + 1)
            #expect(claimed.map(\.id) == [id])
            #expect(try await bench.settle("n1", id, claimed[0].place, "delivered") == "delivered")
        }
        #expect(try await bench.counts("queue:q") == [0, 0, 0, 0])
        await bench.redis.close()
    }

    /// A fails twice, each attempt with a callback; B waits for A, its retries and all its callbacks.
    @Test func theNextWaitsForRetriesAndDirectCallbacks() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_a", lane: "queue:q", gate: Self.queue)
        _ = try await bench.publish("msg_b", lane: "queue:q", gate: Self.queue)
        let first = try await bench.claim("n1", 1)
        #expect(first.map(\.id) == ["msg_a"])
        #expect(
            try await bench.settle("n1", "msg_a", first[0].place, "retry", "\(bench.now + 1000)", callback: "cb_1")
                == "retry")
        let callback = try await bench.claim("n1", 2)
        #expect(callback.map(\.id) == ["cb_1"], "B must not start between A's attempts")
        bench.now += 1000
        try await bench.promote()
        let second = try await bench.claim("n1", 3)
        #expect(second.map(\.id) == ["msg_a"])
        #expect(try await bench.settle("n1", "msg_a", second[0].place, "delivered", callback: "cb_2") == "delivered")
        let last = try await bench.claim("n1", 4)
        #expect(last.map(\.id) == ["cb_2"], "A has ended, its callbacks have not")
        #expect(try await bench.settle("n1", "cb_2", last[0].place, "delivered") == "delivered")
        #expect(try await bench.claim("n1", 5).isEmpty, "the first callback still runs")
        #expect(try await bench.settle("n1", "cb_1", callback[0].place, "dead", "1735689600000-1") == "dead")
        #expect(try await bench.claim("n1", 6).map(\.id) == ["msg_b"])
        await bench.redis.close()
    }

    @Test func aDelayedHeadHoldsItsPlace() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_late", due: bench.now + 5000, lane: "queue:q", gate: Self.queue)
        _ = try await bench.publish("msg_next", lane: "queue:q", gate: Self.queue)
        #expect(try await bench.claim("n1", 1).isEmpty)
        bench.now += 5000
        try await bench.promote()
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_late"])
        await bench.redis.close()
    }

    @Test func pauseResumeAndParallelism() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        #expect(try await bench.change("queue:none", "pause") == "missing")
        #expect(try await bench.change("queue:q", "put", "2", "1") == "ok")
        for number in 1...4 { _ = try await bench.publish("msg_\(number)", lane: "queue:q", gate: Self.queue) }
        #expect(try await bench.claim("n1", 1).isEmpty)
        #expect(try await bench.change("queue:q", "resume") == "ok")
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_1", "msg_2"])
        #expect(try await bench.change("queue:q", "put", "3", "") == "ok")
        #expect(try await bench.claim("n1", 3).map(\.id) == ["msg_3"])
        #expect(try await bench.counts("queue:q") == [0, 3, 1, 4])
        await bench.redis.close()
    }

    @Test func aSwitchThatChangesNothingIsNoUpdate() async throws {
        let bench = try ScriptBench()
        #expect(try await bench.change("queue:q", "put", "", "") == "ok")
        for (word, updates) in [
            ("resume", false), ("pause", true), ("pause", false), ("resume", true), ("resume", false),
        ] {
            let before = try await bench.redis.send("HGET", "roost:{0}:gate:queue:q", "updatedAt").string
            bench.now += 1000
            #expect(try await bench.change("queue:q", word) == "ok")
            let after = try await bench.redis.send("HGET", "roost:{0}:gate:queue:q", "updatedAt").string
            #expect((before != after) == updates, "\(word)")
        }
        await bench.redis.close()
    }

    @Test func aDeadNodesQueueMessageKeepsItsPlace() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        #expect(try await bench.claim("n1", 1).map(\.id) == ["msg_1"])
        bench.now += 20_000
        try await bench.renew("n2")
        _ = try await bench.run(Scripts.reclaim, "n2", "200")
        let claimed = try await bench.claim("n2", 1)
        #expect(claimed.map(\.id) == ["msg_1"])
        #expect(try await bench.settle("n2", "msg_1", claimed[0].place, "delivered") == "delivered")
        #expect(try await bench.claim("n2", 2).map(\.id) == ["msg_2"])
        await bench.redis.close()
    }

    @Test func cancellingTheHeadLetsTheNextThrough() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2", "msg_3"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        let first = try await bench.claim("n1", 1)
        #expect(try await bench.settle("n1", "msg_1", first[0].place, "retry", "\(bench.now + 60_000)") == "retry")
        #expect(try await bench.claim("n1", 2).isEmpty)
        _ = try await bench.run(Scripts.cancel, "c1", "msg_1", "msg_2")
        #expect(try await bench.claim("n1", 3).map(\.id) == ["msg_3"])
        await bench.redis.close()
    }

    @Test func aDeletedQueueCancelsWhatWaitsAndWaitsForWhatRuns() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...5 { _ = try await bench.publish("msg_\(number)", lane: "queue:q", gate: Self.queue) }
        let held = try await bench.claim("n1", 1)
        let deleted = try await bench.run(Scripts.queueDelete, "q", "delete", "3", "call-1")
        #expect(deleted[1].int64 == 3 && deleted[2].int64 == 1)
        _ = try await bench.publish("msg_new", lane: "queue:q", gate: Self.queue)
        #expect(try await bench.claim("n1", 2).isEmpty)
        let swept = try await bench.run(Scripts.queueDelete, "q", "sweep", "3", "")
        #expect(swept[1].int64 == 1 && swept[2].int64 == 0)
        #expect(try await bench.claim("n1", 3).isEmpty, "the new queue waits for what the old one has in flight")
        #expect(try await bench.settle("n1", "msg_1", held[0].place, "delivered") == "delivered")
        let last = try await bench.claim("n1", 4)
        #expect(last.map(\.id) == ["msg_new"])
        #expect(try await bench.settle("n1", "msg_new", last[0].place, "delivered") == "delivered")
        _ = try await bench.run(Scripts.queueDelete, "q", "delete", "3", "call-2")
        #expect(try await bench.redis.send("EXISTS", "roost:{0}:gate:queue:q", "roost:{0}:held:queue:q").int64 == 0)
        await bench.redis.close()
    }

    /// The first page took a message whose callback was under way, and the lane stayed in the ring behind a closed gate.
    @Test func aQueueLeavesTheRingWithTheFirstPageOfItsDeletion() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        let held = try await bench.claim("n1", 1)
        let step = try await bench.settle("n1", "msg_1", held[0].place, "retry", "\(bench.now + 1000)", callback: "cb")
        #expect(step == "retry")
        #expect(try await bench.change("queue:q", "put", "2", "") == "ok")
        #expect(try await bench.redis.send("ZSCORE", "roost:{0}:open", "queue:q") != .null)
        _ = try await bench.run(Scripts.queueDelete, "q", "delete", "1", "call-1")
        #expect(try await bench.redis.send("ZSCORE", "roost:{0}:open", "queue:q") == .null)
        await bench.redis.close()
    }

    @Test func aRateHoldsInFixedWindows() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...7 { _ = try await bench.publish("msg_\(number)", lane: "flow:k", gate: Self.flow("0 3 10")) }
        #expect(try await bench.claim("n1", 1).count == 3)
        #expect(try await bench.counts("flow:k") == [3, 3, 4, 7])
        bench.now += 9_000
        try await bench.promote()
        #expect(try await bench.claim("n1", 2).isEmpty)
        bench.now += 1_000
        try await bench.promote()
        try await bench.renew("n1")
        #expect(try await bench.claim("n1", 3).count == 3)
        #expect(try await bench.change("flow:k", "resetRate") == "ok")
        #expect(try await bench.claim("n1", 4).count == 1)
        await bench.redis.close()
    }

    @Test func parallelismOfAKeyAndItsNewestValue() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...6 { _ = try await bench.publish("msg_\(number)", lane: "flow:k", gate: Self.flow("2 0 1")) }
        let held = try await bench.claim("n1", 1)
        #expect(held.count == 2)
        _ = try await bench.publish("msg_7", lane: "flow:k", gate: Self.flow("3 0 1"))
        #expect(try await bench.claim("n1", 2).count == 1)
        #expect(try await bench.change("flow:k", "pin", "1", "", "1") == "ok")
        _ = try await bench.publish("msg_8", lane: "flow:k", gate: Self.flow("9 0 1"))
        #expect(try await bench.settle("n1", held[0].id, held[0].place, "delivered") == "delivered")
        #expect(try await bench.claim("n1", 3).isEmpty, "pinned to 1, two run")
        // A retry gives its slot back.
        #expect(try await bench.settle("n1", held[1].id, held[1].place, "retry", "\(bench.now + 1000)") == "retry")
        #expect(try await bench.counts("flow:k") == [0, 1, 5, 7])
        #expect(try await bench.change("flow:k", "reset") == "ok")
        #expect(try await bench.claim("n1", 4).count == 1)
        await bench.redis.close()
    }

    @Test func aPausedKeyCollects() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        #expect(try await bench.change("flow:k", "resume") == "missing")
        #expect(try await bench.change("flow:k", "pause") == "ok")
        _ = try await bench.publish("msg_1", lane: "flow:k", gate: Self.flow())
        #expect(try await bench.claim("n1", 1).isEmpty)
        #expect(try await bench.counts("flow:k") == [0, 0, 1, 1])
        #expect(try await bench.change("flow:k", "resume") == "ok")
        #expect(try await bench.claim("n1", 2).count == 1)
        await bench.redis.close()
    }

    /// The queue's slot first, then the key's; pausing the queue takes its messages out of the key's lane, where a plain
    /// message of the same key goes on.
    @Test func queueAndFlowTogether() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.both("1 0 1")) }
        _ = try await bench.publish("msg_plain", lane: "flow:k", gate: Self.flow("1 0 1"))
        var claimed = try await bench.claim("n1", 1)
        if claimed.isEmpty { claimed = try await bench.claim("n1", 2) }
        #expect(claimed.count == 1)
        var order = [claimed[0].id]
        var number = 3
        // msg_1 holds the queue's slot whether it runs or waits behind the key.
        #expect(try await bench.redis.send("SMEMBERS", "roost:{0}:held:queue:q").array?.count == 1)
        #expect(try await bench.change("queue:q", "pause") == "ok")
        #expect(try await bench.settle("n1", claimed[0].id, claimed[0].place, "delivered") == "delivered")
        for _ in 0..<3 {
            for next in try await bench.claim("n1", number) {
                order.append(next.id)
                #expect(try await bench.settle("n1", next.id, next.place, "delivered") == "delivered")
            }
            number += 1
        }
        #expect(!order.contains("msg_2") && order.contains("msg_plain"))
        #expect(try await bench.change("queue:q", "resume") == "ok")
        for _ in 0..<6 {
            for next in try await bench.claim("n1", number) {
                order.append(next.id)
                #expect(try await bench.settle("n1", next.id, next.place, "delivered") == "delivered")
            }
            number += 1
        }
        #expect(order.filter { $0 != "msg_plain" } == ["msg_1", "msg_2"])
        #expect(try await bench.counts("queue:q") == [0, 0, 0, 0])
        #expect(try await bench.counts("flow:k").dropFirst() == [0, 0, 0])
        await bench.redis.close()
    }

    @Test func aRetryBehindAFlowKeyKeepsTheQueuesSlot() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_1", "msg_2"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.both()) }
        var number = 1
        func next() async throws -> [(id: String, place: String)] {
            for _ in 0..<3 {
                let claimed = try await bench.claim("n1", number)
                number += 1
                if !claimed.isEmpty { return claimed }
            }
            return []
        }
        let first = try await next()
        #expect(first.map(\.id) == ["msg_1"])
        #expect(try await bench.settle("n1", "msg_1", first[0].place, "retry", "\(bench.now + 1000)") == "retry")
        #expect(try await next().isEmpty)
        bench.now += 1000
        try await bench.promote()
        let again = try await next()
        #expect(again.map(\.id) == ["msg_1"])
        #expect(try await bench.settle("n1", "msg_1", again[0].place, "dead", "1735689600000-9") == "dead")
        #expect(try await next().map(\.id) == ["msg_2"])
        await bench.redis.close()
    }

    /// The ring's end is not the queue's end: a message that moved behind its key in this very claim must not be slept on.
    @Test func aMoveWithinTheClaimAsksForAnotherRound() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1", lane: "queue:q", gate: Self.both())
        let reply = try await bench.run(Scripts.claim, "n1", "1", "", "100", "1", "128", "4000000", "16", "256", "")
        #expect(reply.count == 4 || reply[1].string == "new")
        await bench.redis.close()
    }

    /// A queue was deleted, made again and used; a second sweep, of the janitor or sent again, cancelled what was new.
    @Test func aSweepThatComesLateTouchesNothingNew() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_old", lane: "queue:q", gate: Self.queue)
        _ = try await bench.run(Scripts.queueDelete, "q", "delete", "200", "call-1")
        _ = try await bench.publish("msg_new", lane: "queue:q", gate: Self.queue)
        let held = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.settle("n1", "msg_new", held.place, "retry", "\(bench.now + 1000)")
        _ = try await bench.run(Scripts.queueDelete, "q", "sweep", "200", "")
        _ = try await bench.run(Scripts.queueDelete, "q", "delete", "200", "call-1")
        #expect(try await bench.counts("queue:q") == [0, 1, 0, 1])
        bench.now += 1000
        try await bench.promote()
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_new"])
        await bench.redis.close()
    }

    /// An administrative call whose reply was lost comes again after others have changed what it set.
    @Test func aResentChangeDoesNotUndoALaterOne() async throws {
        let bench = try ScriptBench()
        func set(_ what: String, _ call: String) async throws {
            _ = try await bench.run(Scripts.gateSet, "queue:q", what, "", "", "", "q", call)
        }
        _ = try await bench.change("queue:q", "put", "1")
        try await set("pause", "call-1")
        try await set("resume", "call-2")
        try await set("pause", "call-1")
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1", lane: "queue:q", gate: Self.queue)
        #expect(try await bench.claim("n1", 1).count == 1)
        await bench.redis.close()
    }

    /// Another node's now lies a few milliseconds behind: the window it finds begins in its future, and still counts.
    @Test func aRateHoldsAmongNodesWhoseClocksDiffer() async throws {
        let bench = try ScriptBench()
        for node in ["n1", "n2"] { try await bench.renew(node) }
        bench.now += 50
        for number in 1...6 {
            _ = try await bench.publish("msg_\(number)", lane: "flow:k", gate: Self.flow("0 3 60"))
        }
        #expect(try await bench.claim("n1", 1).count == 3)
        bench.now -= 1
        _ = try await bench.publish("msg_7", lane: "flow:k", gate: Self.flow("0 3 60"))
        #expect(try await bench.claim("n2", 1).isEmpty)
        await bench.redis.close()
    }

    /// What can't be used any more gives back what it held; it blocked its queue for ever.
    @Test func aLostRecordDoesNotBlockItsQueue() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_a", "msg_b"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        let held = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.redis.send("DEL", "roost:{0}:message:msg_a")
        _ = try await bench.redis.send("ZREM", "roost:{0}:messages", "msg_a")
        #expect(try await bench.settle("n1", "msg_a", held.place, "delivered") == "stale")
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_b"])
        #expect(try await bench.counts("queue:q") == [0, 1, 0, 1])
        await bench.redis.close()
    }

    /// A message whose record is damaged ends as a dead letter, and those settled with it are not held back.
    @Test func aDamagedRecordEndsAsADeadLetter() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for id in ["msg_a", "msg_b"] { _ = try await bench.publish(id, lane: "queue:q", gate: Self.queue) }
        let held = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.redis.send("HSET", "roost:{0}:message:msg_a", "retried", "often")
        #expect(try await bench.settle("n1", "msg_a", held.place, "retry", "\(bench.now)") == "broken")
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:dead").int64 == 1)
        #expect(try await bench.claim("n1", 2).map(\.id) == ["msg_b"])
        await bench.redis.close()
    }
}
