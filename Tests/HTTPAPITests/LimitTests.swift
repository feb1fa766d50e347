import Domain
import Engine
import HTTPAPI
import RedisLink
import TestSupport
import Testing

/// Limits that are settings, and the rate limits of the API.
@Suite struct LimitTests {
    @Test func capsHoldForWhatIsNewAndNotForWhatIsThere() async throws {
        var store = StoreSettings()
        (store.maxQueues, store.maxSchedules, store.maxTopics) = (1, 1, 1)
        var api = APISettings()
        (api.limits.maxQueues, api.limits.maxSchedules, api.limits.maxTopics, api.limits.maxQueueParallelism) = (
            1, 1, 1, 5
        )
        let front = try await APITests.Front(store: store, api: api)
        let cron: [HeaderField] = [("Upstash-Cron", "0 0 1 1 *"), ("Upstash-Schedule-Id", "one")]
        let endpoint = #"{"endpoints":[{"url":"https://example.com"}]}"#
        for (method, target, headers, body, status, text) in [
            ("POST", "/v2/queues", [], #"{"queueName":"q","parallelism":5}"#, 200, "{}"),
            (
                "POST", "/v2/queues", [], #"{"queueName":"q","parallelism":6}"#, 412,
                "maxQueueParallelism exceeded, current limit: 5"
            ),
            ("POST", "/v2/queues", [], #"{"queueName":"r"}"#, 412, "quota maxQueues exceeded, current limit: 1"),
            ("POST", "/v2/enqueue/r/https://example.com", [], "", 412, "maxQueues"),
            ("POST", "/v2/publish/https://example.com", [("Upstash-Queue-Name", "r")], "", 412, "maxQueues"),
            ("POST", "/v2/batch", [], #"[{"destination":"https://example.com","queue":"r"}]"#, 200, "maxQueues"),
            ("POST", "/v2/schedules/https://example.com", cron + [("Upstash-Queue-Name", "r")], "", 412, "maxQueues"),
            ("POST", "/v2/queues", [], #"{"queueName":"q","parallelism":2}"#, 200, "{}"),
            ("POST", "/v2/enqueue/q/https://example.com", [("Upstash-Delay", "1h")], "", 200, "messageId"),
            ("POST", "/v2/schedules/https://example.com", cron, "", 200, "one"),
            ("POST", "/v2/schedules/https://example.com", cron, "changed", 200, "one"),
            ("POST", "/v2/schedules/https://example.com", [cron[0]], "", 412, "maxSchedules"),
            ("POST", "/v2/topics/t/endpoints", [], endpoint, 200, "{}"),
            ("POST", "/v2/topics/t/endpoints", [], endpoint, 200, "{}"),
            ("POST", "/v2/topics/u/endpoints", [], endpoint, 412, "maxUrlGroups"),
        ] as [(String, String, [HeaderField], String, Int, String)] {
            let answer = await front.call(method, target, headers, body: body)
            #expect(answer.status == status && answer.body.contains(text), "\(method) \(target): \(answer)")
        }
        #expect(try await front.redis.send("SCARD", "roost:{0}:queues").int64 == 1)
        let request =
            #"{"url":"http://a.test/","method":"POST","header":{},"retries":0,"version":2,"callerIp":"::1","createdAt":1,"notBefore":1}"#
        try await front.redis.send(
            "HSET", "roost:{0}:dead:5-1", "message", "m", "request", request, "body", "b", "status", "500", "error", "e"
        )
        try await front.redis.send("ZADD", "roost:{0}:dead", "5", "5-1")
        #expect(await front.call("POST", "/v2/dlq/retry/5-1", [("Upstash-Queue-Name", "r")]).status == 412)
        #expect(
            await front.call("POST", "/v2/dlq/retry/5-1", [("Upstash-Queue-Name", "q"), ("Upstash-Delay", "1h")]).status
                == 201)
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    /// A client tells the two kinds apart by the names of the headers.
    @Test func rateLimitsSayWhichKindTheyAre() async throws {
        var api = APISettings()
        api.rateLimit = try #require(RateLimit("burst=3, daily=4"))
        let front = try await APITests.Front(api: api)
        func ask(_ method: String, _ target: String, _ headers: [HeaderField] = []) async -> APIResponse {
            await front.api.respond(
                to: APIRequest(method: method, target: target, headers: headers + [("Authorization", "Bearer secret")]))
        }
        var refused: APIResponse?
        // Within two seconds at most, four calls fall into one of them.
        for _ in 0..<8 {
            let answer = await ask("GET", "/v2/queues")
            if answer.status == 429 { refused = answer }
        }
        let burst = try #require(refused)
        #expect(burst.headers.contains { $0 == ("Burst-RateLimit-Limit", "3") })
        #expect(burst.headers.contains { $0 == ("Burst-RateLimit-Remaining", "0") })
        #expect(!burst.headers.contains { $0.name.hasPrefix("RateLimit") })
        let url = "/v2/publish/https://example.com"
        let delay: [HeaderField] = [("Upstash-Delay", "1h"), ("Upstash-Deduplication-Id", "same")]
        // A duplicate is no message of the day.
        for expected in [200, 202, 202] { #expect(await ask("POST", url, delay).status == expected) }
        for _ in 0..<3 { #expect(await ask("POST", url, [delay[0]]).status == 200) }
        let daily = await ask("POST", url, [delay[0]])
        #expect(
            daily.status == 429
                && String(decoding: daily.body, as: UTF8.self) == #"{"error":"Exceeded daily rate limit"}"#)
        #expect(
            daily.headers.contains { $0 == ("RateLimit-Limit", "4") }
                && daily.headers.contains { $0 == ("RateLimit-Remaining", "0") })
        #expect(try await front.stored() == 4)
        for text in ["burst", "burst=0", "burst=1,burst=2", "hourly=3", "", "daily=x"] {
            #expect(RateLimit(text) == nil, "\(text)")
        }
        await front.redis.close()
    }
}
