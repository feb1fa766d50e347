import Domain
import Engine
import Foundation
import RedisLink
import Synchronization
import TestSupport
import Testing

/// A whole node over a real Redis, with a sender made of Swift.
@Suite struct NodeTests {
    static func record(_ url: String, retries: Int = 3, retryDelay: String? = nil, callback: String? = nil)
        -> MessageRecord
    {
        MessageRecord(
            url: url, retries: retries, retryDelay: retryDelay, callback: callback.map { CallbackSettings(url: $0) },
            callerIP: "127.0.0.1", createdAt: Timestamp(milliseconds: 0), notBefore: Timestamp(milliseconds: 0))
    }

    static func item(_ record: MessageRecord, due: Timestamp, body: String = "x") -> PublishItem {
        PublishItem(
            entries: [.init(NewMessage(id: MessageID.make(now: due), record: record, body: [], due: due))],
            body: Array(body.utf8))
    }

    /// A node over a Redis of its own whose destinations take everything.
    ///
    /// - Parameter over: what the store sends its commands to.
    static func deliveringNode(
        _ settings: EngineSettings = EngineSettings(),
        over commands: (TestRedis) async throws -> any RedisCommands = { $0.client }
    ) async throws -> (TestRedis, Store, Sink, RunningNode) {
        let redis = try TestRedis()
        let store = redis.store(over: try await commands(redis))
        try await store.clock.sync(over: redis.client)
        let sink = Sink()
        let node = RunningNode(store, redis, settings) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        return (redis, store, sink, node)
    }

    /// Returns when the claim before has found nothing more: the node sleeps, or is about to.
    static func sleeps(_ redis: TestRedis) async throws {
        while try await redis.send("EXISTS", "roost:{0}:idle").int64 != 1 { await Task.yield() }
    }

    @Test func publishDeliverRetryAndCallBack() async throws {
        let redis = try TestRedis()
        let store = redis.store()
        try await store.clock.sync(over: redis.client)
        let sink = Sink()
        let node = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            if delivery.url.hasSuffix("/fails-once"),
                !delivery.headers.contains(where: { $0 == ("Upstash-Retried", "1") })
            {
                return .response(status: 500)
            }
            return .response(status: 200, body: Array("ok".utf8))
        }
        let now = store.clock.now
        _ = try await store.publish(
            Self.item(Self.record("http://a.test/fails-once", retryDelay: "50", callback: "http://b.test/cb"), due: now)
        )
        await sink.wait(for: 4)
        #expect(
            sink.seen.map(\.url).sorted() == [
                "http://a.test/fails-once", "http://a.test/fails-once", "http://b.test/cb", "http://b.test/cb",
            ])
        await node.stop()
        #expect(try await redis.audit() == [])
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == 0)
        await redis.close()
    }

    @Test func everyMessageOfAFloodIsDeliveredOnce() async throws {
        let (redis, store, sink, node) = try await Self.deliveringNode()
        let now = store.clock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<1000 {
                let due = number % 2 == 0 ? now : now.adding(milliseconds: Int64(number))
                group.addTask {
                    _ = try await store.publish(
                        Self.item(Self.record("http://h\(number % 7).test/"), due: due, body: "\(number)"))
                }
            }
            try await group.waitForAll()
        }
        await sink.wait(for: 1000)
        #expect(Set(sink.seen.map(\.body)).count == 1000 && sink.seen.count == 1000)
        await node.stop()
        #expect(try await redis.audit() == [])
        await redis.close()
    }

    /// What opens a lane in this process while its node sleeps is claimed with the same write; no wake-up goes round.
    @Test func theNextClaimGoesWithWhatOpensALane() async throws {
        let (redis, store, sink, node) = try await Self.deliveringNode()
        for number in 1...20 {
            try await Self.sleeps(redis)
            let delay: Int64 = number % 2 == 0 ? 0 : 20
            _ = try await store.publish(
                Self.item(Self.record("http://a.test/"), due: store.clock.now.adding(milliseconds: delay)))
            await sink.wait(for: number)
        }
        await node.stop()
        let calls = try await redis.send("INFO", "commandstats").string ?? ""
        let wakeups = calls.firstMatch(of: #/cmdstat_publish:calls=(\d+)/#).flatMap { Int($0.output.1) } ?? 0
        // Each delayed one tells its time; a message that comes before its node sleeps is opened with a wake-up.
        #expect(wakeups < 10 + 15, "\(wakeups) of 20 messages went round")
        #expect(try await redis.audit() == [])
        await redis.close()
    }

    /// Redis had forgotten the script of a call that left the waking to the claim behind it: loaded and sent again, the call came
    /// behind that claim, and nobody looked again until the lease was renewed.
    @Test(.timeLimit(.minutes(1))) func aCallWhoseScriptMustBeLoadedWakesTheNode() async throws {
        var settings = EngineSettings()
        settings.lease = .seconds(100_000)
        let (redis, store, sink, node) = try await Self.deliveringNode(settings)
        try await Self.sleeps(redis)
        _ = try await store.publish(
            Self.item(Self.record("http://a.test/"), due: store.clock.now.adding(milliseconds: 200)))
        let other = RedisClient(url: redis.server.url, loop: redis.loop, logger: TestRedis.quiet)
        while sink.seen.isEmpty {
            for words in [["MULTI"], ["SCRIPT", "FLUSH"], ["SCRIPT", "LOAD", Scripts.claim.source], ["EXEC"]] {
                _ = try await other.send(RedisCommand(parts: words.map(RedisPart.text)))
            }
        }
        await other.shutDown()
        await node.stop()
        #expect(try await redis.audit() == [])
        await redis.close()
    }

    /// Story: a message that is retried at once was claimed anew before its settle was noted; it was forgotten, given back while
    /// in flight, and delivered twice.
    @Test func aMessageHeldAnewStaysHeld() {
        func claimed(_ place: String) -> ClaimedMessage {
            ClaimedMessage(id: "msg_1", place: place, retried: 0, reclaimed: 0, request: [], body: [1], due: 0)
        }
        let held = HeldMessages()
        held.add([claimed("s 1-0 1")], ofClaim: 1)
        held.grow(claimed("s 1-0 1"), by: 1000)
        held.add([claimed("s 2-0 2")], ofClaim: 2)
        held.remove([claimed("s 1-0 1")])
        #expect(held.snapshot().ids == ["msg_1"] && held.bytes == claimed("").size)
        held.remove([claimed("s 2-0 2")])
        #expect(held.count == 0 && held.bytes == 0)
    }

    /// What is in flight when the drain ends goes back and is delivered by the next node.
    @Test func whatADrainedNodeHeldIsDeliveredByTheNext() async throws {
        let redis = try TestRedis()
        let store = redis.store()
        try await store.clock.sync(over: redis.client)
        var settings = EngineSettings()
        settings.drainTimeout = .zero
        let hung = Sink()
        let first = RunningNode(store, redis, settings) { delivery in
            hung.receive(delivery)
            try? await Task.sleep(for: .seconds(3600))
            return .noResponse(reason: "cancelled")
        }
        _ = try await store.publish(Self.item(Self.record("http://a.test/"), due: store.clock.now))
        await hung.wait(for: 1)
        await first.stop()
        #expect(try await redis.audit() == [])
        let sink = Sink()
        let second = RunningNode(store, redis) { delivery in
            sink.receive(delivery)
            return .response(status: 200)
        }
        await sink.wait(for: 1)
        await second.stop()
        await redis.close()
    }
}
