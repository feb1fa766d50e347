import Console
import Domain
import Engine
import Foundation
import HTTPAPI
import NIOPosix
import RedisLink
import TestSupport
import Testing

/// What the console's pages are served with, and the data behind them.
@Suite struct ConsoleTests {
    private func get(_ target: String, _ headers: [HeaderField] = []) -> APIResponse? {
        WebPages.respond(to: APIRequest(method: "GET", target: target, headers: headers))
    }

    @Test func pagesAreGuardedAndCached() throws {
        #expect(get("/v2/queues") == nil && get("/console/api/overview") == nil && get("/consoles") == nil)
        let entry = try #require(get("/console"))
        #expect(entry.status == 308 && entry.headers.contains { $0.name == "Location" && $0.value == "console/" })
        #expect(get("/console/../x")?.status == 404)
        let page = try #require(get("/console/?x=1"))
        let text = String(decoding: page.body, as: UTF8.self)
        // Nothing inline, nothing absolute: the policy would refuse the one, a path prefix break the other.
        for part in text.matches(of: /(?:src|href)="([^"#]+)"/) {
            let name = String(part.output.1)
            let asset = try #require(get("/console/" + name))
            #expect(asset.status == 200 && !asset.body.isEmpty, "\(name)")
            let tag = try #require(asset.headers.first { $0.name == "ETag" })
            let again = try #require(get("/console/" + name, [("If-None-Match", tag.value)]))
            #expect(again.status == 304 && again.body.isEmpty)
            let policy = asset.headers.first { $0.name == "Content-Security-Policy" }?.value ?? ""
            #expect(policy.hasPrefix("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
            #expect(!policy.contains("unsafe"))
        }
        #expect(!text.contains("<style") && !text.contains("style=\"") && text.matches(of: /<script/).count == 1)
    }

    @Test func dataNeedsAReadersToken() async throws {
        let front = try await APITests.Front()
        #expect(await front.call("GET", "/console/api/overview", token: nil).status == 401)
        #expect(await front.call("POST", "/console/api/overview").status == 405)
        #expect(await front.call("GET", "/console/api/other").status == 404)
        let overview = await front.call("GET", "/console/api/overview", token: "read")
        #expect(overview.status == 200 && overview.body.contains(#""deadLetters":0"#))
        let session = await front.call("GET", "/console/api/session", token: "read")
        #expect(session.body == #"{"token":"reader","publish":false,"manage":false,"admin":false}"#)
        let check = await front.call("POST", "/console/api/check", body: #"{"signature":"x"}"#, token: "read")
        #expect(check.body.contains(#""valid":false"#))
    }

    @Test func listsCountsAndSaysWhyAMessageWaits() async throws {
        let front = try await APITests.Front()
        func publish(_ headers: [HeaderField] = []) async throws -> String {
            try front.id(await front.call("POST", "/v2/publish/https://example.com/a", headers, body: "x").body)
        }
        func why(_ id: String) async -> String {
            await front.call("GET", "/console/api/why?id=\(id)", token: "read").body
        }
        let delayed = try await publish([("Upstash-Delay", "1h")])
        #expect(await why(delayed).contains("Waits for its time until "))
        let plain = try await publish()
        #expect(await why(plain).contains("no node that delivers is running"))
        _ = try await front.redis.send("ZADD", "roost:{0}:nodes", "99999999999999", "node-1")
        #expect(await why(plain).contains("Waits for its turn in lane "))
        _ = try await front.redis.send("HSET", "roost:{0}:share:node-1", "host:example.com", "4096")
        #expect(await why(plain).contains("4096 of lane host:example.com are in flight"))
        _ = try await front.redis.send("DEL", "roost:{0}:share:node-1")
        _ = await front.call("POST", "/v2/queues", body: #"{"queueName":"q","paused":true}"#)
        let queued = try front.id(await front.call("POST", "/v2/enqueue/q/https://example.com/b", body: "x").body)
        #expect(await why(queued).contains("queue q is paused"))
        _ = await front.call("POST", "/v2/queues/q/resume")
        #expect(await why(queued).contains("Waits for its turn in queue q"))
        let next = try front.id(await front.call("POST", "/v2/enqueue/q/https://example.com/c", body: "x").body)
        #expect(await why(next).contains("Waits behind 1 in queue q"))
        _ = try await front.redis.send("SADD", "roost:{0}:held:queue:q", queued)
        #expect(await why(next).contains("Waits behind \(queued), which holds the only slot"))
        _ = await front.call("POST", "/v2/flowControl/k/pause")
        let flow = try await publish([("Upstash-Flow-Control-Key", "k"), ("Upstash-Flow-Control-Value", "rate=1")])
        #expect(await why(flow).contains("flow key k is paused"))
        #expect(await why("msg_none").contains(#""reason":"none""#))

        let list = await front.call("GET", "/console/api/messages?queueName=q", token: "read").body
        #expect(list.contains(queued) && list.contains(next) && !list.contains(delayed))
        #expect(!(await front.call("GET", "/console/api/messages?state=retry").body.contains("messageId")))
        #expect(
            await front.call("GET", "/console/api/count?of=messages&queueName=q").body == #"{"count":2,"isWhole":true}"#
        )
        #expect(await front.call("GET", "/console/api/count?of=dead").body == #"{"count":0,"isWhole":true}"#)
        #expect(await front.call("GET", "/console/api/count?of=dead&other=1").status == 400)
    }

    @Test func aListGoesOnBehindItsLastRow() async throws {
        let front = try await APITests.Front()
        for _ in 0..<130 {
            _ = await front.call("POST", "/v2/publish/https://example.com/a", [("Upstash-Delay", "1h")], body: "x")
        }
        func page(_ query: String) async throws -> (ids: [String], next: String?) {
            let body = await front.call("GET", "/console/api/messages\(query)").body
            let object = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
            let rows = object["messages"] as? [[String: Any]] ?? []
            return (rows.compactMap { $0["messageId"] as? String }, object["next"] as? String)
        }
        let first = try await page("")
        let next = try #require(first.next).replacingOccurrences(of: " ", with: "%20")
        let second = try await page("?behind=\(next)")
        #expect(first.ids.count == 100 && second.ids.count == 30 && second.next == nil)
        #expect(Set(first.ids + second.ids).count == 130)
    }

    @Test func lanesTellWhatWaitsAndSinceWhen() async throws {
        let front = try await APITests.Front()
        _ = await front.call("POST", "/v2/queues", body: #"{"queueName":"q","paused":true}"#)
        for _ in 0..<2 { _ = await front.call("POST", "/v2/enqueue/q/https://example.com/b", body: "x") }
        let limited = [("Upstash-Flow-Control-Key", "a key"), ("Upstash-Flow-Control-Value", "rate=1")]
        _ = await front.call("POST", "/v2/publish/https://example.com/f", limited, body: "x")
        let endpoints = #"{"endpoints":[{"url":"https://example.com/1"},{"url":"https://example.com/2"}]}"#
        _ = await front.call("POST", "/v2/topics/t/endpoints", body: endpoints)
        _ = await front.call("POST", "/v2/publish/t", body: "x")
        let target = "/console/api/lanes?queueName=q&flowControlKey=a%20key&topicName=t&queueName=none"
        let body = await front.call("GET", target, token: "read").body
        let object = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        let lanes = try #require(object["lanes"] as? [[String: Any]])
        #expect(lanes.map { $0["waiting"] as? Int } == [2, 1, 2, 0])
        let now = Int(Date().timeIntervalSince1970 * 1000)
        for lane in lanes.prefix(3) { #expect(abs((lane["oldestDue"] as? Int ?? 0) - now) < 60_000) }
        #expect(lanes[3]["oldestDue"] == nil)
        #expect(await front.call("GET", "/console/api/lanes?other=1").status == 400)
    }

    @Test func theHistogramCountsWhatTheFiltersLetThrough() async throws {
        let front = try await APITests.Front()
        for path in ["a", "a", "b"] {
            _ = await front.call(
                "POST", "/v2/publish/https://example.com/\(path)", [("Upstash-Delay", "1h")], body: "x")
        }
        func histogram(_ query: String) async throws -> [String: Any] {
            let body = await front.call("GET", "/console/api/histogram?\(query)", token: "read").body
            return try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
        }
        let all = try await histogram("bars=7")
        let bars = try #require(all["bars"] as? [[String: Any]])
        #expect(bars.count == 7 && bars.reduce(0) { $0 + ($1["CREATED"] as? Int ?? 0) } == 3 && all["reached"] == nil)
        #expect(try await histogram("url=https://example.com/a")["events"] as? Int == 2)
        let to = try #require(all["to"] as? Int)
        let later = try await histogram("fromDate=\(to + 60_000)&toDate=\(to + 120_000)")
        #expect(later["events"] as? Int == 0 && later["from"] as? Int == to + 60_000)
        #expect(await front.call("GET", "/console/api/histogram?bars=0").status == 400)
        #expect(await front.call("GET", "/console/api/histogram?fromDate=x").status == 400)
    }

    @Test func plotsAreKeptInRedisForAWhile() async throws {
        let front = try await APITests.Front()
        let store = front.redis.store()
        try await store.clock.sync(over: front.redis.client)
        store.metrics.published(.host, 5)
        var counted = await store.record(progressSince: [:])
        store.metrics.published(.host, 2)
        counted = await store.record(progressSince: counted)
        counted = await store.record(progressSince: counted)
        let stats = try await store.stats()
        #expect(stats.count == 60)
        #expect(stats.map { $0.counts[.published] ?? 0 }.reduce(0, +) == 7)
        let keys = try await front.redis.send("KEYS", "roost:{0}:stats:*").array ?? []
        #expect(!keys.isEmpty)
        for key in keys {
            let left = try await front.redis.send("TTL", key.string ?? "").int64 ?? -1
            #expect((3660...7200).contains(left))
        }
    }

    @Test(.timeLimit(.minutes(1))) func aTailShowsWhatHappensAndEnds() async throws {
        let front = try await APITests.Front()
        var settings = FrontSettings()
        settings.port = 0
        let server = HTTPFront(
            settings: settings, group: MultiThreadedEventLoopGroup.singleton, metrics: APIMetrics(),
            logger: TestRedis.quiet
        ) { await front.api.respond(to: $0) }
        let port = try await server.start()
        let asked = Array("GET /console/api/tail HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer read\r\n\r\n".utf8)
        async let answer = HTTPFrontTests.talk(port, asked)
        // The tail shows what comes after it was opened: publish until it must have been.
        let deadline = ContinuousClock.now + .seconds(3)
        while .now < deadline {
            _ = await front.call("POST", "/v2/publish/https://example.com/tailed", body: "x")
            try await Task.sleep(for: .milliseconds(100))
        }
        // A stop of the server ends it whole.
        await server.shutDown(within: .seconds(20))
        let text = await answer
        #expect(text.contains("text/event-stream") && text.contains("example.com/tailed"))
        #expect(text.hasSuffix("0\r\n\r\n"))
        // Who comes again behind the first event gets it no second time, and the next one at once.
        let ids = text.split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { $0.dropFirst(4) }
        let first = try #require(ids.first)
        let again = await front.api.respond(
            to: APIRequest(
                method: "GET", target: "/console/api/tail?cursor=\(first)", headers: [("Authorization", "Bearer read")])
        )
        var seen = ""
        for await part in try #require(again.stream) {
            seen += String(decoding: part, as: UTF8.self)
            if seen.contains("id: ") { break }
        }
        #expect(!seen.contains("id: \(first)\n") && seen.contains("id: \(ids[1])\n"))
        // Who goes away makes room for others.
        for _ in 0..<40 {
            let response = await front.api.respond(
                to: APIRequest(method: "GET", target: "/console/api/tail", headers: [("Authorization", "Bearer read")]))
            #expect(response.status == 200 && response.stream != nil)
        }
    }
}
