import Domain
import Engine
import RedisLink
import Synchronization
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
        let store = redis.store(over: late, clock: clock)
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

    /// Redis is not asked for each of the few that come while a call is under way, and not only when that call is answered for
    /// all of them.
    @Test(.timeLimit(.minutes(1))) func enoughThatWaitGoBesideACallUnderWay() async throws {
        let redis = try TestRedis()
        let clock = NodeClock()
        try await clock.sync(over: redis.client)
        let slow = SlowRedis(redis.client, Scripts.publish)
        let store = redis.store(over: slow, clock: clock)
        let all = items(26, queue: "q", now: clock.now)
        // Loads the script.
        _ = try await redis.store().publish(items(1, queue: "other", now: clock.now))
        let results = try await withThrowingTaskGroup(of: PublishResult.self) { group in
            group.addTask { try await store.publish(all[0]) }
            await slow.hasBegun(calls: 1)
            let (answers, answer) = AsyncStream.makeStream(of: Result<PublishResult, StoreError>.self)
            for item in all[1...24] { store.publish(item) { answer.yield($0) } }
            await slow.hasBegun(calls: 2)
            // One more waits for an answer, whichever comes first.
            store.publish(all[25]) { answer.yield($0) }
            slow.release()
            var results = [try await group.next()]
            for await result in answers.prefix(25) { results.append(try result.get()) }
            return results
        }
        #expect(results == Array(repeating: .stored, count: 26))
        #expect(slow.begun == 3)
        let entries = try await redis.send("XRANGE", "roost:{0}:lane:queue:q", "-", "+").array ?? []
        #expect(entries.count == 26)
        #expect(try await redis.audit() == [])
        await redis.close()
    }
}
