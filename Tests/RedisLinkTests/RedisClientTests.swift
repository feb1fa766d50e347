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

    /// Large strings go past hiredis: wherever one begins and ends in what is read, they and what stands around them are whole.
    @Test func largeStringsAreReadInAnyPieces() {
        func bulk(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ count) } }
        let strings = [70_000, 3, 65_535, 65_536, 65_537, 0, 300_000, 300_000, 70_000].map(bulk)
        var bytes: [UInt8] = Array("+OK\r\n".utf8)
        for string in strings { bytes += Array("$\(string.count)\r\n".utf8) + string + Array("\r\n:7\r\n".utf8) }
        bytes += Array("*2\r\n$70000\r\n".utf8) + strings[0] + Array("\r\n:8\r\n+end\r\n".utf8)
        let expected: [RedisValue] =
            [.bulk(Array("OK".utf8))] + strings.flatMap { [.bulk($0), .integer(7)] }
            + [.array([.bulk(strings[0]), .integer(8)]), .bulk(Array("end".utf8))]
        for size in [1, 2, 3, 1000, 65_544, 70_008, 100_000, bytes.count] {
            // Not in the expectation, which would print all of them.
            let isRight = replies(bytes, piecesOf: size) == expected
            #expect(isRight, "pieces of \(size)")
        }
        let broken = Array("$70000\r\n".utf8) + strings[0] + Array("xx".utf8)
        let isRefused = replies(broken, piecesOf: 1000) == nil
        #expect(isRefused)
    }

    private func replies(_ bytes: [UInt8], piecesOf size: Int) -> [RedisValue]? {
        let reader = RedisReplyReader()
        var replies: [RedisValue] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            guard piece.withUnsafeBytes({ reader.read($0) { replies.append($0) } }) else { return nil }
        }
        return replies
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
