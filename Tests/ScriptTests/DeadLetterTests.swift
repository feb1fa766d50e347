import Engine
import RedisLink
import TestSupport
import Testing

@Suite struct DeadLetterTests {
    private func bury(_ bench: ScriptBench, _ id: String, _ number: Int, gate: String = "", lane: String = "host:a")
        async throws
    {
        _ = try await bench.publish(id, lane: lane, gate: gate)
        let held = try #require(try await bench.claim("n1", number).first)
        #expect(try await bench.settle("n1", held.id, held.place, "dead", "\(bench.now)-\(number)") == "dead")
    }

    private func retry(_ bench: ScriptBench, _ items: [(String, String)], all: Bool = false) async throws -> [String] {
        var words = [all ? "all" : "", "1000000", "0", "\(items.count)"]
        for (dlqId, id) in items { words += [dlqId, id, "host:a", "\(bench.now)", #"{"url":"http://a"}"#, "", "100"] }
        return try await bench.run(Scripts.deadRetry, words).compactMap(\.string)
    }

    @Test func twoRetriesOfOneDeadLetterMakeOneMessage() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...3 { try await bury(bench, "msg_\(number)", number) }
        let ids = (1...3).map { "\(bench.now)-\($0)" }
        #expect(try await retry(bench, [(ids[0], "msg_a"), (ids[1], "msg_b")]) == ["ok", "stored", "stored"])
        // The same call again, and another one for the same dead letters.
        #expect(try await retry(bench, [(ids[0], "msg_a"), (ids[1], "msg_b")]) == ["ok", "stored", "stored"])
        #expect(try await retry(bench, [(ids[0], "msg_c"), (ids[2], "msg_d")]) == ["ok", "gone", "stored"])
        #expect(try await retry(bench, [("1-1", "msg_e")], all: true) == ["gone", "1-1"])
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:dead").int64 == 0)
        #expect(try await bench.redis.send("HGET", "roost:{0}:message:msg_a", "body").string == "body")
        #expect(try await bench.claim("n1", 9).map(\.id).sorted() == ["msg_a", "msg_b", "msg_d"])
        await bench.redis.close()
    }

    @Test func droppingCountsWhatWasThereAndAnswersTheSameTwice() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...2 { try await bury(bench, "msg_\(number)", number) }
        for _ in 0..<2 {
            let reply = try await bench.run(Scripts.deadDrop, "call", "\(bench.now)-1", "\(bench.now)-7")
            #expect(reply[1].int64 == 1)
        }
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:dead").int64 == 1)
        await bench.redis.close()
    }

    /// Pages go on where the last one ended, whatever came and went since, among equal times, too.
    @Test func pagesAreStableWhileEntriesComeAndGo() async throws {
        let bench = try ScriptBench()
        try await bench.renew("n1")
        for number in 1...9 {
            try await bury(bench, "msg_\(number)", number)
            if number % 3 == 0 { bench.now += 5 }
        }
        for order in ["latestFirst", "earliestFirst"] {
            let all = try await bench.run(Scripts.list, "dead", order, "", "-inf", "+inf", "100", "100000")
                .dropFirst(2).compactMap { $0.array.map { ($0[0].string ?? "", $0[1].string ?? "") } }
            #expect(all.count == 9)
            for cut in 0..<8 {
                let cursor = "\(all[cut].1) \(all[cut].0)"
                let rest = try await bench.run(Scripts.list, "dead", order, cursor, "-inf", "+inf", "100", "100000")
                #expect(rest.dropFirst(2).compactMap { $0.array?[0].string } == all[(cut + 1)...].map(\.0), "\(cut)")
            }
        }
        let before = try await bench.run(Scripts.list, "dead", "latestFirst", "", "-inf", "+inf", "4", "100000")
        #expect(before[1].int64 == 1)
        let last = before[5].array ?? []
        _ = try await bench.run(Scripts.deadDrop, "c", last[0].string ?? "")
        try await bury(bench, "msg_new", 20)
        let rest = try await bench.run(
            Scripts.list, "dead", "latestFirst", "\(last[1].string ?? "") \(last[0].string ?? "")", "-inf", "+inf", "9",
            "100000")
        #expect(rest.count == 2 + 5)
        await bench.redis.close()
    }
}
