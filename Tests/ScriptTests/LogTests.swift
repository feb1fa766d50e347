import Domain
import Engine
import Foundation
import RedisLink
import TestSupport
import Testing

/// The log as the scripts write it, and what reading it finds.
@Suite struct LogTests {
    private func history(_ bench: ScriptBench, _ id: String) async throws -> [String] {
        let reply = try await bench.run(Scripts.logHistory, id, "", "100")
        return reply[2].array?.compactMap { $0.array?[2].string } ?? []
    }

    private func scan(_ bench: ScriptBench, _ order: String, from cursor: String = "", most: Int = 100) async throws
        -> [String]
    {
        let reply = try await bench.run(Scripts.logScan, order, cursor, "", "", "\(most)", "1000000")
        return reply[2].array?.compactMap { $0.array?[0].string } ?? []
    }

    /// A whole life: the states in order, found without a walk through the log, also when the message is gone.
    @Test func aMessagesHistoryIsFoundAfterItsEnd() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        var held = try #require(try await bench.claim("n1", 1).first)
        #expect(try await bench.settle("n1", held.id, held.place, "retry", "\(bench.now + 10)") == "retry")
        #expect(try await history(bench, "msg_1") == ["RETRY", "ERROR", "ACTIVE", "CREATED"])
        bench.now += 10
        try await bench.promote()
        held = try #require(try await bench.claim("n1", 2).first)
        #expect(try await bench.settle("n1", held.id, held.place, "dead", "\(bench.now)-9") == "dead")
        let all = ["FAILED", "ERROR", "ACTIVE", "RETRY", "ERROR", "ACTIVE", "CREATED"]
        #expect(try await history(bench, "msg_1") == all)
        let refs = try await scan(bench, "latestFirst")
        #expect(refs.count == 7)
        #expect(try await scan(bench, "earliestFirst").reversed() == refs)
        let first = try await scan(bench, "latestFirst", most: 3)
        #expect(try await first + scan(bench, "latestFirst", from: first[2]) == refs)
        await bench.redis.close()
    }

    @Test func cancellingIsToldInTwoSteps() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        _ = try await bench.publish("msg_2", due: bench.now + 1000)
        let held = try #require(try await bench.claim("n1", 1).first)
        _ = try await bench.run(Scripts.cancel, "call", "msg_1", "msg_2")
        #expect(try await history(bench, "msg_2") == ["CANCELED", "CANCEL_REQUESTED", "CREATED"])
        #expect(try await history(bench, "msg_1") == ["CANCEL_REQUESTED", "ACTIVE", "CREATED"])
        _ = try await bench.settle("n1", held.id, held.place, "delivered")
        #expect(try await history(bench, "msg_1").first == "DELIVERED")
        await bench.redis.close()
    }

    /// The oldest segments go when the log is too large; what outlives its first event still says where it went.
    @Test func theLogIsBounded() async throws {
        let bench = try ScriptBench()
        try await bench.redis.send("HSET", "roost:{0}:log", "limit", "20000")
        try await bench.renew("n1")
        _ = try await bench.publish("msg_old")
        let held = try #require(try await bench.claim("n1", 1).first)
        for number in 0..<300 {
            bench.now += 1
            _ = try await bench.publish("msg_\(number)", due: bench.now + 1_000_000)
        }
        let reply = try await bench.redis.send("HMGET", "roost:{0}:log", "bytes", "first")
        let figures = reply.array?.compactMap(\.int64) ?? []
        let head = try await bench.redis.send("HGET", "roost:{0}:log", "head").string ?? ""
        let last = Int64(head.prefix { $0 != " " }) ?? 0
        #expect(figures.count == 2 && figures[0] <= 20_000 && figures[1] > 10, "\(figures)")
        #expect(try await bench.redis.send("KEYS", "roost:{0}:log:*").array?.count == Int(last - figures[1] + 1))
        _ = try await bench.settle("n1", held.id, held.place, "delivered")
        let scanned = try await bench.run(Scripts.logScan, "latestFirst", "", "", "", "1", "1000000")
        let latest = scanned[2].array?.first?.array ?? []
        #expect(latest[2].string == "DELIVERED" && latest[5].string == #"{"url":"http://a"}"#, "\(latest)")
        await bench.redis.close()
    }

    @Test func oldSegmentsGoAndNothingIsLoggedWhereTheLimitIsNought() async throws {
        let bench = try ScriptBench()
        _ = try await bench.publish("msg_1", due: bench.now + 100_000_000)
        bench.now += 2_000_000
        _ = try await bench.run(Scripts.collect, "60000", "20000", "1000000000", "1000000", "200")
        #expect(try await scan(bench, "latestFirst") == [])
        try await bench.redis.send("HSET", "roost:{0}:log", "limit", "0")
        _ = try await bench.publish("msg_2", due: bench.now + 1000)
        #expect(try await history(bench, "msg_2") == [])
        _ = try await bench.run(Scripts.collect, "60000", "20000", "1000000000", "1000000", "200")
        #expect(try await bench.redis.send("KEYS", "roost:{0}:log:*").array?.count == 0)
        await bench.redis.close()
    }

    /// Story: a call that failed behind its events had not counted them; the next event found its number taken.
    /// A claim takes it from the log's refs that a message was never tried before.
    @Test func triesAreCountedWhereTheLogWasTurnedOffMeanwhile() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        _ = try await bench.publish("msg_1")
        try await bench.redis.send("HSET", "roost:{0}:log", "limit", "0")
        let held = try await bench.claim("n1", 1)
        #expect(try await bench.settle("n1", held[0].id, held[0].place, "retry", "\(bench.now)") == "retry")
        let reply = try await bench.run(Scripts.claim, "n1", "2", "", "100", "1", "64", "4000000", "16", "256", "")
        #expect(reply.last?.array?[2].string == "1")
        await bench.redis.close()
    }

    @Test func aTakenNumberDoesNotStopTheLog() async throws {
        let bench = try ScriptBench()
        _ = try await bench.publish("msg_1", due: bench.now + 1000)
        try await bench.redis.send("HSET", "roost:{0}:log", "head", "1 0 0 1 0 0")
        _ = try await bench.publish("msg_2", due: bench.now + 1000)
        _ = try await bench.publish("msg_3", due: bench.now + 1000)
        for id in ["msg_2", "msg_3"] { #expect(try await history(bench, id) == ["CREATED"]) }
        #expect(try await scan(bench, "latestFirst").count >= 2)
        await bench.redis.close()
    }

    /// What one call says of many messages shares an entry, and each event is found all the same: by its ref, behind it from
    /// either side, in each message's history.
    @Test func eventsThatShareAnEntryAreFoundOneByOne() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        let ids = (1...40).map { "msg_\($0)" }
        for id in ids { _ = try await bench.publish(id) }
        bench.now += 1
        let held = try await bench.claim("n1", 1)
        let attempts = held.flatMap { [$0.id, $0.place, "plain", "1000"] }
        let results = try await bench.run(
            Scripts.settle, ["n1", "60000", "1000000", "20000", "\(held.count)"] + attempts)
        #expect(results.dropFirst().allSatisfy { $0.string == "delivered" })
        for id in ids { #expect(try await history(bench, id) == ["DELIVERED", "ACTIVE", "CREATED"]) }
        let entries = try await bench.redis.send("XLEN", "roost:{0}:log:1").int64 ?? 0
        #expect(entries > 40 && entries < 50, "\(entries)")

        let refs = try await scan(bench, "latestFirst", most: 1000)
        #expect(refs.count == 120 && Set(refs).count == 120)
        #expect(try await scan(bench, "earliestFirst", most: 1000).reversed() == refs)
        for order in ["latestFirst", "earliestFirst"] {
            let inOrder = order == "latestFirst" ? refs : refs.reversed()
            var pages: [String] = []
            while true {
                let page = try await scan(bench, order, from: pages.last ?? "", most: 7)
                if page.isEmpty { break }
                pages += page
            }
            #expect(pages == inOrder)
        }
        let found = try await bench.run(Scripts.logGet, ["1000000"] + refs).dropFirst().map { $0.array ?? [] }
        #expect(found.map { $0.first?.string } == refs)
        for event in found where event.count == 7 && event[2].string != "CREATED" {
            let created = try await bench.run(Scripts.logGet, "1000", event[3].string ?? "")[1].array ?? []
            #expect(created.count == 7 && created[1] == event[1] && created[2].string == "CREATED")
        }
        // Numbers between two entries, and behind the last, are nobody's.
        let gone = try await bench.run(Scripts.logGet, "1000", "\(bench.now)-121", "\(bench.now - 1)-110")
        #expect(gone.dropFirst().allSatisfy { $0.array?.isEmpty == true })
        await bench.redis.close()
    }

    /// The page for people at a terminal ended before the first event that shared its entry with another message's.
    @Test func theInspectionScriptFollowsEventsThatShareAnEntry() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        let ids = (1...5).map { "msg_\($0)" }
        for id in ids { _ = try await bench.publish(id) }
        let held = try await bench.claim("n1", 1)
        let attempts = held.flatMap { [$0.id, $0.place, "plain", "1000"] }
        _ = try await bench.run(Scripts.settle, ["n1", "60000", "1000000", "20000", "\(held.count)"] + attempts)
        let script = try String(
            contentsOf: Contract.top.appendingPathComponent("lua/inspect/message.lua"), encoding: .utf8)
        for id in ids {
            let page = try await bench.redis.send("EVAL", script, "1", "roost:{0}", id).array ?? []
            let log = page.compactMap(\.string).drop { !$0.hasPrefix("log ") }
            #expect(log.map { String($0.split(separator: " ").last ?? "") } == ["DELIVERED", "ACTIVE", "CREATED"])
        }
        await bench.redis.close()
    }

    /// A clock that was a day ahead and is corrected does not stop the time of the log.
    @Test func aClockSetBackBeginsASegment() async throws {
        let bench = try ScriptBench()
        bench.now += 86_400_000
        _ = try await bench.publish("msg_1", due: bench.now + 1000)
        bench.now -= 86_400_000
        let now = bench.now
        let reply = try await bench.redis.client.run(
            Scripts.publish, keys: ["roost:{0}"],
            arguments: [
                "\(now) stepped", "20000", "600000", "0", "1", "", "", "b", "", "9", "1", "msg_2", "host:a",
                "\(now + 1000)", "{}", "", "",
            ].map(RedisPart.text))
        #expect(reply.array?.last?.string == "stored")
        let refs = try await scan(bench, "latestFirst")
        #expect(refs.count == 2 && refs[0].hasPrefix("\(now)-"), "\(refs)")
        #expect(try await history(bench, "msg_2") == ["CREATED"])
        await bench.redis.close()
    }
}
