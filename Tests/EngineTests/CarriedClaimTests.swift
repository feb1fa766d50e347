import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// Publishes that bring a claim of the node in the same process.
@Suite struct CarriedClaimTests {
    private static func item(_ store: Store, _ url: String = "http://a.test/") -> PublishItem {
        NodeTests.item(NodeTests.record(url), due: store.clock.now)
    }

    /// A node that sleeps, over what `wrapped` makes of its Redis, which knows the script: a call that has to be sent again brings
    /// nothing.
    private static func sleepingNode<Commands: RedisCommands>(
        over wrapped: (any RedisCommands) -> Commands
    ) async throws -> (commands: Commands, TestRedis, Store, Sink, RunningNode) {
        var made: Commands?
        let (redis, store, sink, node) = try await NodeTests.deliveringNode { redis in
            _ = try await redis.client.send(RedisCommand("SCRIPT", "LOAD", Scripts.publish.source))
            let commands = wrapped(redis.client)
            made = commands
            return commands
        }
        try await NodeTests.sleeps(redis)
        return (try #require(made), redis, store, sink, node)
    }

    /// Nothing is left in it.
    private static func end(_ redis: TestRedis) async throws {
        #expect(try await redis.audit() == [])
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        await redis.close()
    }

    /// A node that drains while the answer of a publish is under way must not hand back what that brings, and then deliver it.
    @Test(.timeLimit(.minutes(1))) func aDrainWaitsForWhatAPublishBrings() async throws {
        let (slow, redis, store, sink, node) = try await Self.sleepingNode {
            SlowRedis($0, Scripts.publish, keepsAnswers: true)
        }
        async let published = store.publish(Self.item(store))
        await slow.hasBegun(calls: 1)
        async let stopped: Void = node.stop()
        // A node that did not wait has all the time it needs to end.
        for _ in 0..<300 { _ = try await redis.send("PING") }
        slow.release()
        #expect(try await published == .stored)
        await stopped
        #expect(sink.seen.count == 1)
        try await Self.end(redis)
    }

    /// Story: the answers of two publishes were lost at once, the first of which had brought nothing. Its claim was sent again, found
    /// nothing and said that the node may sleep; what the second had brought was delivered by nobody.
    @Test(.timeLimit(.minutes(1))) func ofTwoLostAnswersBothAreAskedFor() async throws {
        let (lossy, redis, store, sink, node) = try await Self.sleepingNode { LossyRedis($0, Scripts.publish) }
        var first = Self.item(store)
        first.entries[0].dedup = "d"
        _ = try await store.publish(first)
        await sink.wait(for: 1)
        try await NodeTests.sleeps(redis)
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
        try await Self.end(redis)
    }

    /// What a publish stores its node delivers without having asked for it, and nobody is woken.
    @Test(.timeLimit(.minutes(1))) func aPublishBringsWhatItStores() async throws {
        let (counted, redis, store, sink, node) = try await Self.sleepingNode { CountedRedis($0) }
        let before = counted.calls(Scripts.claim)
        for number in 1...20 {
            _ = try await store.publish(Self.item(store, "http://a.test/\(number)"))
            await sink.wait(for: number)
        }
        #expect(counted.calls(Scripts.claim) - before <= 2, "a claim for each")
        await node.stop()
        #expect(sink.seen.count == 20)
        try await Self.end(redis)
    }
}
