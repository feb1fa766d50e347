import Domain
import Engine
import Foundation
import RedisLink
import TestSupport
import Testing

/// The log as the store reads it, and how it gives way.
@Suite struct LogStoreTests {
    private func query(_ text: String, _ subject: ListQuery.Subject = .log(defaultCount: 100)) throws -> ListQuery {
        let pairs = text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (name: String(parts[0]), value: String(parts[1]))
        }
        return try ListQuery.read(pairs, of: subject)
    }

    private func publish(_ store: Store, _ url: String, _ labels: [String] = [], body: String = "x") async throws
        -> String
    {
        let now = store.clock.now
        var record = NodeTests.record(url)
        (record.labels, record.createdAt) = (labels, now)
        let message = NewMessage(
            id: MessageID.make(now: now), record: record, body: [], due: now.adding(seconds: 3600))
        _ = try await store.publish(PublishItem(entries: [.init(message)], body: Array(body.utf8)))
        return message.id.text
    }

    /// Pages by cursor are the whole list, in both orders, with and without filters.
    @Test func pagesMakeTheWholeList() async throws {
        let redis = try TestRedis()
        let store = redis.store()
        try await store.clock.sync(over: redis.client)
        var ids: [String] = []
        for number in 0..<25 {
            ids.append(
                try await publish(store, "http://h\(number % 5).test/p", number % 2 == 0 ? ["even"] : ["odd", "all"]))
        }
        _ = try await store.cancel(Array(ids[0..<10]))
        for (text, expected) in [
            ("", 45), ("label=even", 23), ("label=odd,nothing&state=CREATED", 12), ("host=h1.test", 9), ("path=/p", 45),
            ("state=CANCELLED", 10), ("state=IN_PROGRESS", 0), ("messageIds=\(ids[0]),\(ids[20])", 4),
            ("url=http://h2.test/p", 9), ("callerIp=1.2.3.4", 0),
        ] {
            for order in ["latestFirst", "earliestFirst"] {
                let whole = try await store.log(try query("\(text)&order=\(order)&count=1000"))
                #expect(whole.entries.count == expected && whole.next == nil, "\(text) \(order)")
                var paged: [String] = []
                var cursor: String?
                repeat {
                    let page = try await store.log(
                        try query("\(text)&order=\(order)&count=4" + (cursor.map { "&cursor=\($0)" } ?? "")))
                    paged += page.entries.map(\.event.ref)
                    cursor = page.next
                } while cursor != nil
                #expect(paged == whole.entries.map(\.event.ref), "\(text) \(order)")
            }
        }
        let groups = try await store.groupedLog(try query("count=3&state=CANCELED", .groupedLog))
        #expect(groups.messages.map { $0[0].event.messageID } == [ids[9], ids[8], ids[7]])
        let next = try await store.groupedLog(
            try query("count=100&state=CANCELED&cursor=\(try #require(groups.next))", .groupedLog))
        #expect(next.messages.map { $0[0].event.messageID } == ids[0..<7].reversed() && next.next == nil)
        await redis.close()
    }

    /// With memory full the log goes first, which is counted; only then is a publish refused, and cancelling still works.
    @Test func memoryFullShedsTheLogBeforeAMessageIsRefused() async throws {
        let redis = try TestRedis(["--maxmemory", "24mb", "--maxmemory-policy", "noeviction"])
        let store = redis.store()
        try await store.clock.sync(over: redis.client)
        _ = try await store.signingKeys(initial: nil)
        var ids: [String] = []
        var shedBefore: Int64 = 0
        let body = String(repeating: "b", count: 12_000)
        do {
            while ids.count < 5000 {
                ids.append(try await publish(store, "http://a.test/", body: body))
                if shedBefore == 0, let shed = try await redis.send("HGET", "roost:{0}:log", "shed").int64 {
                    shedBefore = shed
                }
            }
            Issue.record("Redis never refused")
        } catch let error as StoreError {
            guard case .refused = error else { throw error }
        }
        let left = try #require(await store.measure()).logBytes
        #expect(shedBefore > 0 && left < 100_000, "\(left)")
        // Neither readiness nor a start depends on the log's room.
        #expect(await store.checkWrites() != nil)
        _ = try await store.signingKeys(initial: nil)
        #expect(ids.count > 1000, "\(ids.count)")
        #expect(try await redis.send("ZCARD", "roost:{0}:messages").int64 == Int64(ids.count))
        #expect(try await store.cancel(Array(ids.prefix(100))) == 100)
        ids.append(try await publish(store, "http://a.test/", body: body))
        #expect(try await redis.audit() == [])
        await redis.close()
    }
}
