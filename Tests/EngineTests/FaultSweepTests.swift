import Domain
import Engine
import RedisLink
import Synchronization
import TestSupport
import Testing

/// Every call to Redis fails once, in both ways: nothing is lost, and each settled attempt makes one callback message.
@Suite struct FaultSweepTests {
    /// Publishes a message that fails once and a fan-out, all with callbacks, while call `number` fails. Answers whether
    /// the fault was felt.
    private func sweep(_ fault: FaultyRedis.Fault, _ number: Int, _ redis: TestRedis) async throws -> Bool {
        try await redis.send("FLUSHALL")
        let faulty = FaultyRedis(redis.client, fault: fault, atCall: number)
        let store = redis.store(over: faulty)
        try await store.clock.sync(over: redis.client)
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(
                status: delivery.url.hasSuffix("/once") && delivery.header("Upstash-Retried") == "0" ? 500 : 200)
        }
        let now = store.clock.now
        let record = NodeTests.record("http://a.test/once", retryDelay: "1", callback: "http://cb.test/")
        _ = try await store.publish(NodeTests.item(record, due: now))
        try await store.editTopic("t") { _ throws(RequestError) in
            try Topic.upserting(
                [.init(name: "x", url: "http://x.test"), .init(name: "y", url: "http://y.test")], into: nil, name: "t",
                now: now,
                limits: Limits())
        }
        let topic = try #require(try await store.topicForPublish("t"))
        let entries = ["x", "y"].map { name in
            var record = NodeTests.record("http://\(name).test", callback: "http://cb.test/")
            (record.topic, record.endpoint) = ("t", name)
            return PublishItem.Entry(NewMessage(id: MessageID.make(now: now), record: record, body: [], due: now))
        }
        #expect(
            try await store.publish(PublishItem(entries: entries, body: [1], topic: (topic.name, topic.revision)))
                == .stored)
        // A queue whose first message fails once, and a flow key that lets one through at a time.
        for (name, body) in [("q/once", "a"), ("q/b", "b")] {
            var record = NodeTests.record("http://\(name)", retryDelay: "1", callback: "http://cb.test/")
            record.queue = "q"
            _ = try await store.publish(NodeTests.item(record, due: now, body: body))
        }
        for name in ["f/1", "f/2"] {
            var record = NodeTests.record("http://\(name)", callback: "http://cb.test/")
            record.flowControl = FlowControl(key: "k", parallelism: 1, rate: 100)
            _ = try await store.publish(NodeTests.item(record, due: now))
        }
        @Sendable func callbacks(_ seen: [Delivery]) -> Set<String> {
            Set(seen.filter { $0.url == "http://cb.test/" }.compactMap { $0.header("Upstash-Message-Id") })
        }
        await sink.wait { callbacks($0).count >= 9 }
        await node.stop()
        #expect(callbacks(sink.seen).count == 9, "\(fault) at call \(number)")
        #expect(
            Set(sink.seen.map(\.url)) == [
                "http://a.test/once", "http://x.test", "http://y.test", "http://cb.test/", "http://q/once",
                "http://q/b",
                "http://f/1", "http://f/2",
            ])
        let queued = sink.seen.map(\.url).filter { $0.hasPrefix("http://q/") }
        #expect(queued == queued.sorted(by: >), "FIFO: \(queued), \(fault) at call \(number)")
        #expect(try await store.queue("q")?.lag == 0)
        #expect(try await store.flow("k").map { [$0.waiting, $0.inFlight] } == [0, 0])
        #expect(try await redis.audit() == [], "\(fault) at call \(number)")
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == 0, "\(fault) at call \(number)")
        return faulty.hasFired
    }

    @Test(.timeLimit(.minutes(2)), arguments: FaultyRedis.Fault.allCases)
    func everyCallFailsOnce(_ fault: FaultyRedis.Fault) async throws {
        let redis = try TestRedis()
        var number = 1
        while try await sweep(fault, number, redis) { number += 1 }
        #expect(number > 15, "the sweep felt \(number - 1) calls only")
        await redis.close()
    }
}
