import Engine
import RedisLink
import TestSupport
import Testing

@Suite struct DeduplicationTests {
    @Test func anIdIsTakenForExactlyItsWindowWhateverBecomesOfTheMessage() async throws {
        let bench = try ScriptBench()
        #expect(try await bench.publish("msg_1", dedup: "d") == "stored")
        #expect(try await bench.publish("msg_1", dedup: "d") == "stored")
        #expect(try await bench.publish("msg_2", dedup: "d") == "msg_1")
        _ = try await bench.run(Scripts.cancel, "call", "msg_1")
        bench.now += 599_999
        #expect(try await bench.publish("msg_3", dedup: "d") == "msg_1")
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        bench.now += 1
        #expect(try await bench.publish("msg_4", dedup: "d") == "stored")
        await bench.redis.close()
    }

    /// Of a fan-out only what repeats is left out, and a resend answers the same.
    @Test func aFanOutIsDeduplicatedByEndpoint() async throws {
        let bench = try ScriptBench()
        #expect(try await bench.publish("msg_1", dedup: "a") == "stored")
        func fanOut(_ ids: [String], _ dedups: [String]) async throws -> RedisValue? {
            var words = ["20000", "600000", "0", "1", "", "", "body", "", "100", "\(ids.count)"]
            for (id, dedup) in zip(ids, dedups) {
                words += [id, "host:a", "\(bench.now)", #"{"url":"http://a"}"#, "", dedup]
            }
            return try await bench.run(Scripts.publish, words).last
        }
        for _ in 0..<2 {
            let answer = try await fanOut(["msg_2", "msg_3"], ["a", "b"])
            #expect(answer?.array?.map { $0.string ?? "?" } == ["msg_1", ""])
        }
        // Story: sent again after the window had ended, it answered with a message that was never made.
        bench.now += 600_000
        let late = try await fanOut(["msg_2", "msg_3"], ["a", "b"])
        #expect(late?.array?.map { $0.string ?? "?" } == ["msg_1", ""])
        #expect(try await fanOut(["msg_4", "msg_5"], ["c", "c"])?.array?.map { $0.string ?? "?" } == ["", "msg_4"])
        #expect(try await bench.redis.send("ZCARD", "roost:{0}:messages").int64 == 3)
        await bench.redis.close()
    }
}
