import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// Publishes that bring a claim of the node in the same process.
@Suite struct CarriedClaimTests {
    private static func store(_ commands: any RedisCommands, _ redis: TestRedis) async throws -> Store {
        let store = Store(
            redis: commands, clock: NodeClock(), settings: StoreSettings(), logger: TestRedis.quiet,
            metrics: EngineMetrics())
        try await store.clock.sync(over: redis.client)
        return store
    }

    private static func item(_ store: Store, _ url: String = "http://a.test/") -> PublishItem {
        NodeTests.item(NodeTests.record(url), due: store.clock.now)
    }

    /// Redis learns the script: a call that has to be sent again brings nothing.
    private static func teach(_ redis: TestRedis) async throws {
        _ = try await redis.client.send(RedisCommand("SCRIPT", "LOAD", Scripts.publish.source))
    }

    /// The claim before has found nothing more: the node sleeps, or is about to.
    private static func sleeps(_ redis: TestRedis) async throws {
        while try await redis.send("EXISTS", "roost:{0}:idle").int64 != 1 { await Task.yield() }
    }

    /// A node that drains while the answer of a publish is under way must not hand back what that brings, and then deliver it.
    @Test(.timeLimit(.minutes(1))) func aDrainWaitsForWhatAPublishBrings() async throws {
        let redis = try TestRedis()
        let slow = SlowRedis(redis.client, Scripts.publish, keepsAnswers: true)
        let store = try await Self.store(slow, redis)
        try await Self.teach(redis)
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        try await Self.sleeps(redis)
        async let published = store.publish(Self.item(store))
        await slow.hasBegun(calls: 1)
        async let stopped: Void = node.stop()
        // A node that did not wait has all the time it needs to end.
        for _ in 0..<300 { _ = try await redis.send("PING") }
        slow.release()
        #expect(try await published == .stored)
        await stopped
        #expect(sink.seen.count == 1)
        #expect(try await redis.audit() == [])
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        await redis.close()
    }

    /// Story: the answers of two publishes were lost at once, the first of which had brought nothing. Its claim was sent again, found
    /// nothing and said that the node may sleep; what the second had brought was delivered by nobody.
    @Test(.timeLimit(.minutes(1))) func ofTwoLostAnswersBothAreAskedFor() async throws {
        let redis = try TestRedis()
        let lossy = LossyRedis(redis.client, Scripts.publish)
        let store = try await Self.store(lossy, redis)
        try await Self.teach(redis)
        var first = Self.item(store)
        first.entries[0].dedup = "d"
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        _ = try await store.publish(first)
        await sink.wait(for: 1)
        try await Self.sleeps(redis)
        lossy.lose(2)
        var again = Self.item(store)
        again.entries[0].dedup = "d"
        let others = (0..<24).map { Self.item(store, "http://a.test/\($0)") }
        let (answers, answer) = AsyncStream.makeStream(of: Bool.self)
        store.publish(again) { answer.yield((try? $0.get()) != nil) }
        while lossy.lost < 1 { await Task.yield() }
        for item in others { store.publish(item) { answer.yield((try? $0.get()) != nil) } }
        for await isStored in answers.prefix(25) { #expect(isStored) }
        await sink.wait(for: 25)
        await node.stop()
        #expect(sink.seen.count == 25)
        #expect(try await redis.audit() == [])
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        await redis.close()
    }

    /// What a publish stores its node delivers without having asked for it, and nobody is woken.
    @Test(.timeLimit(.minutes(1))) func aPublishBringsWhatItStores() async throws {
        let redis = try TestRedis()
        let counted = CountedRedis(redis.client)
        let store = try await Self.store(counted, redis)
        try await Self.teach(redis)
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        try await Self.sleeps(redis)
        let before = counted.calls(Scripts.claim)
        for number in 1...20 {
            _ = try await store.publish(Self.item(store, "http://a.test/\(number)"))
            await sink.wait(for: number)
        }
        #expect(counted.calls(Scripts.claim) - before <= 2, "a claim for each")
        #expect(sink.seen.count == 20)
        await node.stop()
        #expect(try await redis.audit() == [])
        await redis.close()
    }
}
