import Logging
import NIOPosix
import RedisLink
import TestSupport
import Testing

@Suite struct RedisClientTests {
    @Test func repliesComeInTheOrderOfTheCommands() async throws {
        let redis = try TestRedis()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<2000 {
                group.addTask {
                    let reply = try await redis.send("ECHO", "\(number)")
                    #expect(reply.string == "\(number)")
                }
            }
            try await group.waitForAll()
        }
        await redis.close()
    }

    /// A large command that comes on the loop is written at once, but not before the small ones that wait to be.
    @Test func aLargeCommandDoesNotOvertake() async throws {
        let redis = try TestRedis()
        let client = redis.client
        let order = try await withCheckedThrowingContinuation { continuation in
            client.perform {
                for word in ["a", String(repeating: "b", count: 10_000), "c", String(repeating: "d", count: 10_000)] {
                    client.send(RedisCommand("RPUSH", "order", word)) { _ in }
                }
                client.send(RedisCommand("LRANGE", "order", "0", "-1")) { continuation.resume(with: $0) }
            }
        }
        #expect(order.array?.map { $0.string?.prefix(1) } == ["a", "b", "c", "d"])
        await redis.close()
    }

    @Test func binaryArgumentsSurvive() async throws {
        let redis = try TestRedis()
        let bytes: [UInt8] = (0...255).map { UInt8($0) } + [0, 13, 10, 0]
        _ = try await redis.client.send(RedisCommand(parts: [.text("SET"), .text("k"), .bytes(bytes)]))
        let reply = try await redis.send("GET", "k")
        #expect(reply.bytes == bytes)
        await redis.close()
    }

    /// What a log says of a command that failed.
    @Test func theSubjectOfACommandIsItsNameAndItsKey() {
        #expect(RedisCommand("HGET", "a key", "a field").subject == "HGET a key")
        #expect(RedisCommand("SET", "", "text\nwith lines").subject == "SET ")
        #expect(RedisCommand("PING").subject == "PING")
    }

    @Test func anErrorReplyIsThrown() async throws {
        let redis = try TestRedis()
        await #expect(throws: RedisError.self) { try await redis.send("NOSUCHCOMMAND") }
        await redis.close()
    }

    /// A killed Redis fails what waits, and the client finds the new one by itself.
    @Test func itComesBackAfterRedisWasKilled() async throws {
        let redis = try TestRedis()
        try await redis.send("SET", "k", "1")
        redis.server.kill()
        try redis.server.start()
        var answered = false
        for _ in 0..<200 where !answered {
            answered = (try? await redis.send("PING"))?.string == "PONG"
        }
        #expect(answered)
        await redis.close()
    }

    @Test func urls() throws {
        #expect(try RedisURL("redis://user:p%40ss@example.com:6380/3").description == "redis://example.com:6380/3")
        #expect(try RedisURL("redis://:secret@localhost").password == "secret")
        #expect(try RedisURL("unix:///run/redis.sock?db=2").database == 2)
        for bad in ["", "http://x", "redis://", "redis://h:0", "redis://h:99999", "redis://h/x", "unix://relative"] {
            #expect(throws: RedisURL.Invalid.self, "\(bad)") { try RedisURL(bad) }
        }
    }
}
