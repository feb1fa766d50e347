import Domain
import Engine
import RedisLink
import TestSupport
import Testing

@Suite struct PublisherTests {
    private func items(_ count: Int, queue: String, now: Timestamp) -> [PublishItem] {
        (0..<count).map { number in
            var record = NodeTests.record("http://a.test/")
            record.queue = queue
            return NodeTests.item(record, due: now, body: "\(number)")
        }
    }

    /// A second call goes to Redis before the first is answered, but with nothing that stands behind a message of the first in
    /// the order of its caller: the first may have to be sent again.
    @Test func aCallThatIsLateIsNotOvertakenByTheRestOfItsCaller() async throws {
        let redis = try TestRedis()
        let clock = NodeClock()
        try await clock.sync(over: redis.client)
        let now = clock.now
        let (many, others) = (items(250, queue: "q", now: now), items(120, queue: "other", now: now))
        let late = RacingRedis(redis.client, before: Scripts.publish) {
            // Others come while the first call is on its way, and have all the time they need.
            for _ in 0..<100 { _ = try? await redis.send("PING") }
        }
        let store = Store(
            redis: late, clock: clock, settings: StoreSettings(), logger: TestRedis.quiet, metrics: EngineMetrics())
        async let first = store.publish(many)
        async let second = store.publish(others)
        let results = try await first + second
        #expect(results.allSatisfy { $0 == .stored })
        for (queue, expected) in [("q", many), ("other", others)] {
            let entries = try await redis.send("XRANGE", "roost:{0}:lane:queue:\(queue)", "-", "+").array ?? []
            let ids = entries.compactMap { $0.array?.last?.array?[1].string }
            #expect(ids == expected.map { $0.entries[0].id }, "\(queue)")
        }
        #expect(try await redis.audit() == [])
        await redis.close()
    }
}
