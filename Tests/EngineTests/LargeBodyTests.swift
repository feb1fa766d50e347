import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// Bodies too large to go through a claim have a key of their own, which the node reads.
struct LargeBodyTests {
    private func item(_ body: String, due: Timestamp) -> PublishItem {
        NodeTests.item(NodeTests.record("http://a.test/", retries: 0), due: due, body: body)
    }

    @Test func aLargeBodyIsDeliveredSignedAndGoesWithItsMessage() async throws {
        let redis = try TestRedis()
        var settings = EngineSettings()
        settings.store.keepDeliveredBytes = 1000
        let store = redis.store(settings: settings.store)
        try await store.clock.sync(over: redis.client)
        let large = String(repeating: "0123456789", count: 3_000)
        let (sink, keys) = (Sink(), SigningKeys.generate())
        for body in [large, large, "small"] { _ = try await store.publish(item(body, due: store.clock.now)) }
        #expect(try await redis.send("EVAL", "return #redis.call('KEYS', 'roost:{0}:body:*')", "0").int64 == 1)
        let node = RunningNode(store, redis, settings, keys: keys) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        await sink.wait(for: 3)
        #expect(sink.seen.map { $0.body.count }.sorted() == [5, 30_000, 30_000])
        for delivery in sink.seen {
            let token = try #require(delivery.header("Upstash-Signature"))
            try SignatureVerifier(keys: keys).verify(
                token, url: delivery.url, body: delivery.body, now: store.clock.now)
        }
        // What is kept for readers is bounded with the body counted: the next end sheds both, and the body with them.
        _ = try await store.publish(item("last", due: store.clock.now))
        await sink.wait(for: 4)
        await node.stop()
        #expect(try await redis.send("EVAL", "return #redis.call('KEYS', 'roost:{0}:body:*')", "0").int64 == 0)
        #expect(try await redis.audit() == [])
        await redis.close()
    }

    /// Between the claim and the read.
    private struct BodyThief: RedisCommands {
        let redis: any RedisCommands

        func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
            if command.name == "HGET" {
                let theft =
                    "for _, k in ipairs(redis.call('KEYS', 'roost:{0}:body:*')) do redis.call('HDEL', k, 'text') end"
                _ = try await redis.send(RedisCommand("EVAL", theft, "0"))
            }
            return try await redis.send(command)
        }
    }

    @Test func aLargeBodyThatIsGoneMakesADeadLetter() async throws {
        let redis = try TestRedis()
        let store = Store(
            redis: BodyThief(redis: redis.client), clock: NodeClock(), settings: StoreSettings(),
            logger: TestRedis.quiet, metrics: EngineMetrics())
        try await store.clock.sync(over: redis.client)
        _ = try await store.publish(item(String(repeating: "x", count: 20_000), due: store.clock.now))
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        while store.metrics.total(.failed) == 0 { try await Task.sleep(for: .milliseconds(5)) }
        await node.stop()
        #expect(sink.seen.isEmpty)
        let dead = try await redis.send("ZRANGE", "roost:{0}:dead", "0", "-1").array?.first?.string
        let error = try await redis.send("HGET", "roost:{0}:dead:\(try #require(dead))", "error").string
        #expect(error?.contains("its body is gone") == true)
        await redis.close()
    }
}
