import Domain
import Engine
import Foundation
import HTTPAPI
import RedisLink
import TestSupport
import Testing

/// The surface of the contract, called as values: status, body, and what is stored afterwards.
@Suite struct APITests {
    final class Front: Sendable {
        let redis: TestRedis
        let api: API

        init(store settings: StoreSettings = StoreSettings(), api apiSettings: APISettings = APISettings()) async throws
        {
            redis = try TestRedis()
            let store = redis.store(settings: settings)
            try await store.clock.sync(over: redis.client)
            let tokens = [
                AccessToken(name: "all", secret: "secret", scopes: .admin),
                AccessToken(name: "reader", secret: "read", scopes: .read),
            ]
            let pages = StatusPages(unhealthy: { [] }, unready: { [] }, metrics: { "" })
            api = API(
                store: store, keys: SigningKeyring(SigningKeys(current: "c", next: "n")),
                confirmer: Confirmer(redis: redis.client, root: "roost:{0}"),
                authenticator: Authenticator(tokens: tokens),
                settings: apiSettings, status: pages, metrics: APIMetrics(), logger: TestRedis.quiet)
        }

        func call(
            _ method: String, _ target: String, _ headers: [HeaderField] = [], body: String = "",
            token: String? = "secret"
        ) async -> (status: Int, body: String) {
            var headers = headers
            if let token { headers.append(("Authorization", "Bearer \(token)")) }
            let request = APIRequest(method: method, target: target, headers: headers, body: Array(body.utf8))
            // As a connection does it: the short way first.
            let response = if let taken = await take(request) { taken } else { await api.respond(to: request) }
            return (response.status, String(decoding: response.body, as: UTF8.self))
        }

        /// The answer of the short way; nil where it takes no such request.
        func take(_ request: APIRequest) async -> APIResponse? {
            await withCheckedContinuation { continuation in
                if !api.takePlainPublish(request, { continuation.resume(returning: $0) }) {
                    continuation.resume(returning: nil)
                }
            }
        }

        func stored() async throws -> Int64 { try await redis.send("ZCARD", "roost:{0}:messages").int64 ?? -1 }

        func id(_ body: String) throws -> String {
            let object = try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
            return object?["messageId"] as? String ?? ""
        }
    }

    @Test func publishReadCancel() async throws {
        let front = try await Front()
        let published = await front.call(
            "POST", "/v2/publish/https://example.com/a?x=1",
            [("Upstash-Delay", "1h"), ("Upstash-Forward-X-Tenant", "acme")], body: "hi")
        #expect(published.status == 200)
        let id = try front.id(published.body)
        // What can't be sent as it stands is encoded once, so that the signature names what is sent.
        let encoded = await front.call("POST", "/v2/publish/https://example.com/\u{e9}", [("Upstash-Delay", "1h")])
        #expect(encoded.body.contains("https://example.com/%C3%A9"))
        let read = await front.call("GET", "/v2/messages/\(id)")
        #expect(
            read.status == 200 && read.body.contains(#""X-Tenant":["acme"]"#) && read.body.contains(#""body":"hi""#))
        #expect(await front.call("DELETE", "/v2/messages/\(id)").status == 200)
        #expect(await front.call("GET", "/v2/messages/\(id)").status == 404)
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    @Test func topicsFanOutInOneStep() async throws {
        let front = try await Front()
        let made = await front.call(
            "POST", "/v2/topics/orders/endpoints",
            body:
                #"{"endpoints":[{"name":"a","url":"https://a.example.com"},{"name":"b","url":"https://b.example.com"}]}"#
        )
        #expect(made.status == 200)
        let published = await front.call("POST", "/v2/publish/orders", [("Upstash-Delay", "60s")], body: "x")
        #expect(published.status == 200)
        #expect(try await front.stored() == 2)
        #expect(await front.call("POST", "/v2/publish/no-such-topic").status == 404)
        #expect(await front.call("GET", "/v2/topics/orders").body.contains("https://b.example.com"))
        #expect(await front.call("DELETE", "/v2/topics/orders").status == 200)
        #expect(await front.call("POST", "/v2/publish/orders").status == 404)
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    @Test func tokens() async throws {
        let front = try await Front()
        #expect(await front.call("POST", "/v2/publish/https://example.com", token: nil).status == 401)
        #expect(await front.call("POST", "/v2/publish/https://example.com", token: "wrong").status == 401)
        #expect(await front.call("POST", "/v2/publish/https://example.com", token: "read").status == 403)
        #expect(await front.call("GET", "/v2/topics", token: "read").status == 200)
        #expect(await front.call("GET", "/v2/keys", token: "read").status == 403)
        #expect(
            await front.call("POST", "/v2/publish/https://example.com?qstash_token=secret", token: nil).status == 200)
        // Another scheme is meant for somebody else: it may be forwarded where the token stands in the query.
        let mine: [HeaderField] = [
            ("Authorization", "Basic mine"), ("Upstash-Header-Forward", "true"), ("Upstash-Delay", "1h"),
        ]
        let published = await front.call(
            "POST", "/v2/publish/https://example.com?qstash_token=secret", mine, token: nil)
        #expect(await front.call("GET", "/v2/messages/\(try front.id(published.body))").body.contains("Basic mine"))
        #expect(await front.call("POST", "/v2/publish/https://example.com", mine, token: nil).status == 401)
        await front.redis.close()
    }

    /// Bad input: the right status, the name of what is wrong, and nothing stored.
    @Test func badInputNamesTheHeaderAndStoresNothing() async throws {
        let front = try await Front()
        let huge = "1" + String(repeating: "0", count: 30)
        let cases: [(HeaderField, Int)] = [
            (("Upstash-Retries", huge), 412), (("Upstash-Retries", "-1"), 400), (("Upstash-Retries", "three"), 400),
            (("Upstash-Delay", huge + "d"), 412), (("Upstash-Delay", "1w"), 400), (("Upstash-Not-Before", huge), 412),
            (("Upstash-Not-Before", "soon"), 400), (("Upstash-Timeout", huge), 412), (("Upstash-Method", "FETCH"), 400),
            (("Upstash-Retry-Delay", "pow(2"), 400), (("Upstash-Callback", "example.com"), 400),
            (("Upstash-Failure-Callback", "ftp://example.com"), 400),
        ]
        for (header, status) in cases {
            let answer = await front.call("POST", "/v2/publish/https://example.com", [header])
            #expect(answer.status == status && answer.body.contains(#"{"error":"#), "\(header): \(answer)")
            guard status == 400 else { continue }
            #expect(
                answer.body.lowercased().contains(
                    header.name.lowercased().replacingOccurrences(of: "upstash-", with: "")), "\(answer.body)")
        }
        for target in [
            "http://127.0.0.1/x", "http://[::1]/", "http://2130706433/", "http://localhost/", "ftp://a", "https:///x",
            "",
        ] {
            #expect(await front.call("POST", "/v2/publish/" + target).status == 400, "\(target)")
        }
        for (target, header) in [
            ("/v2/enqueue/q/https://example.com", ("Upstash-Callback-Delay", "5s")),
            ("/v2/enqueue/q/https://example.com", ("Upstash-Failure-Callback-Not-Before", "1700000000")),
            ("/v2/publish/https://example.com", ("Upstash-Forward-X", "caf\u{FFFD}")),
            ("/v2/publish/https://example.com/a#b", ("X", "y")), ("/v2/publish/https://b\u{fc}cher.test/", ("X", "y")),
            ("/v2/publish/https%3A%2F%2Fex%C3%A4mple.com%2F", ("X", "y")),
            ("/v2/publish/https://example.com", ("Upstash-Callback", "https://example.com/#x")),
        ] as [(String, HeaderField)] {
            #expect(await front.call("POST", target, [header]).status == 400, "\(target) \(header)")
        }
        // Who publishes may never have written it.
        _ = await front.call(
            "POST", "/v2/topics/t/endpoints", body: #"{"endpoints":[{"url":"https://example.com/"}]}"#)
        _ = await front.call("PATCH", "/v2/topics/t", body: #"{"headers":{"Upstash-Callback-Delay":"5s"}}"#)
        let enqueued = await front.call("POST", "/v2/enqueue/q/t", [("Upstash-Callback", "https://example.com/")])
        #expect(enqueued.status == 400 && enqueued.body.contains("it is a default of the topic"), "\(enqueued)")
        #expect(await front.call("GET", "/v2/keys/").status == 200)
        #expect(await front.call("GET", "/v2/keys//").status == 404)
        #expect(await front.call("GET", "/v2/publish/https://example.com").status == 405)
        #expect(await front.call("GET", "/v2/nothing").status == 404)
        #expect(try await front.stored() == 0)
        #expect(
            await front.call("POST", "/v2/publish/https://example.com", [("Upstash-Retry-Delay", "pow(10,400)")]).status
                == 200)
        await front.redis.close()
    }
}
