import Domain
import Engine
import HTTPAPI
import RedisLink
import TestSupport
import Testing

/// The short way of a plain publish beside the usual one.
@Suite struct PlainPublishTests {
    private func request(
        _ headers: [HeaderField] = [], to target: String = "/v2/publish/https://example.com/a", method: String = "POST",
        token: String = "secret", body: String = "hi"
    ) -> APIRequest {
        APIRequest(
            method: method, target: target, headers: headers + [("Authorization", "Bearer \(token)")],
            body: Array(body.utf8))
    }

    @Test func bothWaysAnswerAndStoreTheSame() async throws {
        let front = try await APITests.Front()
        for (number, plain) in [
            request(),
            request(to: "/v1/publish/https://example.com/a"),
            request([("Upstash-Delay", "1h"), ("Upstash-Retries", "7"), ("Upstash-Callback", "https://example.com/c")]),
            request([("Upstash-Deduplication-Id", "once")]),
            request([("Upstash-Deduplication-Id", "once")]),
            request([("Upstash-Flow-Control-Key", "k"), ("Upstash-Flow-Control-Value", "parallelism=2")], body: ""),
            request([("Upstash-Label", "l"), ("Upstash-Redact-Fields", "body")]),
        ].enumerated() {
            let short = try #require(await front.take(plain), "\(number)")
            let usual = await front.api.respond(to: plain)
            #expect(short.headers.map { "\($0.name): \($0.value)" } == usual.headers.map { "\($0.name): \($0.value)" })
            let (one, other) = (
                String(decoding: short.body, as: UTF8.self), String(decoding: usual.body, as: UTF8.self)
            )
            let (id, otherID) = try (front.id(one), front.id(other))
            // The second of two that are the same says so; all else is the same but for the id.
            if other.contains("deduplicated") {
                #expect(id == otherID, "\(number)")
                continue
            }
            #expect(id != otherID && one.replacing(id, with: otherID) == other, "\(number)")
            #expect(short.status == usual.status, "\(number)")
            let fields = try await (fields(of: id, front), fields(of: otherID, front))
            #expect(!fields.0.isEmpty && fields.0 == fields.1, "\(number)")
        }
    }

    private func fields(of id: String, _ front: APITests.Front) async throws -> [String] {
        try await front.redis.send("HKEYS", "roost:{0}:message:\(id)").array?.compactMap(\.string) ?? []
    }

    @Test func whatIsNotPlainOrIsWrongIsLeftWithNothingDone() async throws {
        let front = try await APITests.Front()
        for (number, other) in [
            request(to: "/v2/publish/a-topic"),
            request(to: "/v2/enqueue/q/https://example.com/"),
            request([("Upstash-Cron", "* * * * *")], to: "/v2/schedules/https://example.com/"),
            request(to: "/v2/batch"),
            request([("Upstash-Cron", "* * * * *")]),
            request([("Roost-Ack", "memory")]),
            request(method: "GET"),
            request(token: "wrong"),
            request(token: "read"),
            request([("Upstash-Delay", "soon")]),
            request(to: "/v2/publish/ftp://example.com/"),
            request(to: "/v2/publish/http://10.0.0.1/"),
            request(body: String(repeating: "a", count: 20_000)),
            request(to: "/health"),
        ].enumerated() {
            #expect(await front.take(other) == nil, "\(number)")
        }
        #expect(try await front.stored() == 0)
        var counted = APISettings()
        counted.rateLimit.daily = 1
        let limited = try await APITests.Front(api: counted)
        #expect(await limited.take(request()) == nil)
    }

    @Test func redisThatIsGoneIsToldTheSame() async throws {
        var settings = StoreSettings()
        settings.storeTimeout = .milliseconds(200)
        let front = try await APITests.Front(store: settings)
        front.redis.server.close()
        let short = try #require(await front.take(request()))
        let usual = await front.api.respond(to: request())
        #expect(short.status == 503 && short.status == usual.status && short.body == usual.body)
    }
}
