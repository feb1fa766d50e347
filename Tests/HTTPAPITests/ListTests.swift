import Domain
import Engine
import Foundation
import RedisLink
import TestSupport
import Testing

/// Lists and bulk acts: filters, pages, and above all that none of them means "all" by accident.
@Suite struct ListTests {
    private func publish(_ front: APITests.Front, _ count: Int, _ headers: [HeaderField] = []) async throws -> [String]
    {
        var ids: [String] = []
        for number in 0..<count {
            let answer = await front.call(
                "POST", "/v2/publish/https://example.com/\(number % 2)?n=\(number)",
                headers + [("Upstash-Delay", "1h"), ("Upstash-Label", number % 3 == 0 ? "third,all" : "all")], body: "x"
            )
            ids.append(try front.id(answer.body))
        }
        return ids
    }

    @Test func badInputChangesNothing() async throws {
        let front = try await APITests.Front()
        _ = try await publish(front, 3)
        let deep = String(repeating: "[", count: 100) + String(repeating: "]", count: 100)
        let cases: [(String, String, String, String)] = [
            ("DELETE", "/v2/messages/", "", "id is missing"), ("DELETE", "/v2/dlq/", "", "id is missing"),
            ("DELETE", "/v2/messages?labeel=all", "", "unknown query parameter: labeel"),
            ("DELETE", "/v2/messages?cursor=1-1", "", "unknown query parameter: cursor"),
            ("DELETE", "/v2/messages?count=0", "", "invalid count"),
            ("DELETE", "/v2/messages?count=501", "", "invalid count"),
            ("DELETE", "/v2/messages?count=ten", "", "invalid count"),
            ("DELETE", "/v2/messages?count=", "", "invalid count"),
            ("DELETE", "/v2/messages?fromDate=1.5", "", "invalid fromDate"),
            ("DELETE", "/v2/messages?toDate=-1", "", "invalid toDate"),
            ("DELETE", "/v2/messages?order=newest", "", "invalid order"),
            ("DELETE", "/v2/messages?responseStatus=404", "", "unknown query parameter"),
            ("DELETE", "/v2/messages?state=ACTIVE", "", "unknown query parameter"),
            ("POST", "/v2/dlq/retry/", "", "id is missing"), ("DELETE", "/v2/messages", " ", "invalid JSON body"),
            ("DELETE", "/v2/dlq", "\n", "invalid JSON body"),
            ("POST", "/v2/dlq/retry", "garbage{", "invalid JSON body"),
            ("POST", "/v2/dlq/retry", #"{"dlqIds":"1-1"}"#, "dlqIds must be"),
            ("DELETE", "/v2/messages?label=%ff", "", "not valid UTF-8"),
            ("GET", "/v2/dlq?responseStatus=-1", "", "invalid responseStatus"),
            ("DELETE", "/v2/messages", "{}", "messageIds must be"), ("DELETE", "/v2/messages", "[]", "not an object"),
            ("DELETE", "/v2/messages", #"{"messageIds":null}"#, "messageIds must be"),
            ("DELETE", "/v2/messages", #"{"messageIds":"a"}"#, "messageIds must be"),
            ("DELETE", "/v2/messages", #"{"messageIds":[1]}"#, "messageIds must be"),
            ("DELETE", "/v2/messages", #"{"messageIDs":["a"]}"#, "unknown field"),
            ("DELETE", "/v2/messages", #"{"messageIds":[],"messageIds":[]}"#, "given twice"),
            ("DELETE", "/v2/messages", #"{"messageIds":["#, "invalid JSON body"),
            ("DELETE", "/v2/messages", deep, "invalid JSON"),
            ("DELETE", "/v2/messages?label=all", #"{"messageIds":["a"]}"#, "label in the query and ids in the body"),
            ("DELETE", "/v2/dlq?label=all", #"{"dlqIds":["1-1"]}"#, "label in the query and ids in the body"),
            ("DELETE", "/v2/dlq", #"{"messageIds":["a"]}"#, "unknown field"),
            ("GET", "/v2/dlq?host=a", "", "unknown query parameter: host"),
            ("GET", "/v2/dlq?path=/", "", "unknown query parameter: path"),
            ("GET", "/v2/dlq?state=FAILED", "", "unknown query parameter: state"),
            ("GET", "/v2/dlq?messageIds=a", "", "unknown query parameter: messageIds"),
            ("GET", "/v2/dlq?count=101", "", "invalid count"), ("GET", "/v2/dlq?cursor=abc", "", "invalid cursor"),
            ("GET", "/v2/dlq?cursor=", "", "invalid cursor"),
            ("GET", "/v2/dlq?responseStatus=no", "", "invalid responseStatus"),
            ("GET", "/v2/dlq/1-1?label=x", "", "unknown query parameter: label"),
            ("POST", "/v2/dlq/retry?labeel=x", "", "unknown query parameter: labeel"),
            ("GET", "/v2/events?count=1001", "", "invalid count"), ("GET", "/v2/logs?state=DONE", "", "invalid state"),
            ("GET", "/v2/logs?groupBy=url", "", "invalid groupBy"),
            ("GET", "/v2/events?groupBy=messageId", "", "unknown query"),
            ("GET", "/v2/logs?trimBody=x", "", "invalid trimBody"),
            ("GET", "/v2/logs?cursor=1-2-3", "", "invalid cursor"),
            ("GET", "/v2/logs?groupBy=messageId&count=101", "", "invalid count"),
        ]
        for (method, target, body, text) in cases {
            let answer = await front.call(method, target, body: body)
            #expect(answer.status == 400 && answer.body.contains(text), "\(method) \(target) \(body): \(answer)")
        }
        let headers: [(HeaderField, String)] = [
            (("Upstash-Retries", "many"), "Upstash-Retries"), (("Upstash-Cron", "* * * * *"), "Upstash-Cron"),
            (("Upstash-Deduplication-Id", "a"), "Upstash-Deduplication-Id"),
        ]
        for (header, text) in headers {
            let answer = await front.call("POST", "/v2/dlq/retry", [header])
            #expect(answer.status == 400 && answer.body.contains(text), "\(answer)")
        }
        // Nothing selected is not everything.
        for (method, target, body, answered) in [
            ("DELETE", "/v2/messages?messageIds=", "", #"{"cancelled":0}"#),
            ("DELETE", "/v2/messages", #"{"messageIds":[]}"#, #"{"cancelled":0}"#),
            ("DELETE", "/v2/messages?label=", "", #"{"cancelled":0}"#),
            ("DELETE", "/v2/messages?source=workflow", "", #"{"cancelled":0}"#),
            ("DELETE", "/v2/dlq?dlqIds=", "", #"{"deleted":0}"#),
            ("DELETE", "/v2/dlq", #"{"dlqIds":[]}"#, #"{"deleted":0}"#),
            ("GET", "/v2/dlq?dlqIds=", "", #"{"messages":[]}"#),
            ("GET", "/v2/dlq?source=workflow", "", #"{"messages":[]}"#),
            ("POST", "/v2/dlq/retry?dlqIds=", "", #"{"responses":[]}"#),
            ("POST", "/v2/dlq/retry", #"{"dlqIds":[]}"#, #"{"responses":[]}"#),
        ] {
            let answer = await front.call(method, target, body: body)
            #expect(answer.body == answered, "\(method) \(target): \(answer)")
        }
        #expect(await front.call("POST", "/v2/dlq/retry?dlqIds=1-1").status == 404)
        #expect(await front.call("POST", "/v2/dlq/retry", body: #"{"dlqIds":["1-1"]}"#).status == 404)
        #expect(await front.call("DELETE", "/v2/dlq/1-1").body == #"{"error":"dlq message 1-1 not found"}"#)
        #expect(try await front.stored() == 3)
        await front.redis.close()
    }

    @Test func cancellingByFilter() async throws {
        let front = try await APITests.Front()
        let ids = try await publish(front, 12)
        func cancelled(_ query: String) async throws -> String {
            await front.call("DELETE", "/v2/messages" + query).body
        }
        // 0, 3, 6 and 9 are a third; of those the path of 0 and 6 is /0.
        #expect(try await cancelled("?label=third&path=/0") == #"{"cancelled":2}"#)
        #expect(try await cancelled("?url=https://example.com/1?n=1,nothing") == #"{"cancelled":1}"#)
        #expect(try await cancelled("?host=example.com:1") == #"{"cancelled":0}"#)
        #expect(
            try await cancelled("?messageIds=\(ids[2])&messageIds=\(ids[4]),msg_none&label=third")
                == #"{"cancelled":2}"#)
        // The newest first with a count.
        #expect(try await cancelled("?host=example.com&count=1") == #"{"cancelled":1}"#)
        #expect(await front.call("GET", "/v2/messages/\(ids[11])").status == 404)
        #expect(try await cancelled("?fromDate=1&toDate=2") == #"{"cancelled":0}"#)
        #expect(try await cancelled("?order=earliestFirst") == #"{"cancelled":6}"#)
        #expect(try await front.stored() == 0)
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    @Test func deduplicationAnswersTheOriginal() async throws {
        let front = try await APITests.Front()
        @Sendable func publish(_ target: String, _ headers: [HeaderField], _ body: String = "x") async -> (
            status: Int, body: String
        ) {
            await front.call("POST", target, headers + [("Upstash-Delay", "1h")], body: body)
        }
        let url = "/v2/publish/https://example.com/a"
        let first = await publish(url, [("Upstash-Deduplication-Id", "one")])
        let second = await publish("/v1/publish/https://example.com/b", [("Upstash-Deduplication-Id", "one")])
        #expect(first.status == 200 && second.status == 202)
        #expect(try front.id(first.body) == front.id(second.body) && second.body.contains(#""deduplicated":true"#))
        let byContent = ("Upstash-Content-Based-Deduplication", "True")
        #expect(await publish(url, [byContent, ("Upstash-Forward-X", "1")]).status == 200)
        #expect(await publish(url, [("Upstash-Forward-X", "1"), byContent, ("Upstash-Retries", "1")]).status == 202)
        #expect(await publish(url, [byContent, ("Upstash-Forward-X", "2")]).status == 200)
        #expect(await publish(url, [byContent, ("Upstash-Forward-X", "1")], "y").status == 200)
        #expect(await publish(url, [("Upstash-Deduplication-Id", "a:b")]).body.contains("cannot contain ':'"))
        #expect(await publish(url, [("Upstash-Deduplication-Id", "a b")]).status == 400)
        // 1,000 at once make one message.
        let before = try await front.stored()
        let answers = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<1000 { group.addTask { await publish(url, [("Upstash-Deduplication-Id", "crowd")]).status } }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [200: 1, 202: 999])
        #expect(try await front.stored() == before + 1)
        let cron: [HeaderField] = [("Upstash-Cron", "0 0 1 1 *"), ("Upstash-Deduplication-Id", "one")]
        let schedule = await front.call("POST", "/v2/schedules/https://example.com", cron)
        let again = await front.call("POST", "/v2/schedules/https://example.com", cron)
        #expect(schedule.status == 200 && again.status == 202)
        #expect(again.body == schedule.body.dropLast() + #","deduplicated":true}"#)
        let batch = await front.call(
            "POST", "/v2/batch",
            body:
                #"[{"destination":"https://example.com","headers":{"Upstash-Deduplication-Id":"b","Upstash-Delay":"1h"}},"#
                + #"{"destination":"https://example.com","headers":{"Upstash-Deduplication-Id":"b"}}]"#)
        #expect(batch.status == 200 && batch.body.hasSuffix(#""deduplicated":true}]"#))
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    /// What is hidden is shown as a digest everywhere and kept out of the log; filters and deliveries see it.
    @Test func redactionHidesEverywhere() async throws {
        let front = try await APITests.Front()
        let published = await front.call(
            "POST", "/v2/publish/https://example.com/api/orders?source=shop",
            [
                ("Upstash-Delay", "1h"), ("Upstash-Redact-Fields", "body, header[authorization]"),
                ("Upstash-Forward-Authorization", "Bearer secret"), ("Content-Type", "application/json"),
            ], body: #"{"orderId":42}"#)
        let id = try front.id(published.body)
        let golden = try #require(try Contract.value(try Contract.bytes("message-redacted")) as? [String: Any])
        for target in ["/v2/messages/\(id)", "/v2/logs?messageId=\(id)"] {
            let body = await front.call("GET", target).body
            let object = try #require(try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
            let shown = (object["logs"] as? [[String: Any]])?.first ?? object
            #expect(shown["body"] as? String == golden["body"] as? String)
            #expect(shown["header"] as? NSDictionary == golden["header"] as? NSDictionary)
            #expect(!body.contains("secret") && !body.contains("orderId"))
        }
        #expect(
            try await front.redis.send("XRANGE", "roost:{0}:log:1", "-", "+").array?.first?.array?[1].array?[11].string
                == "")
        for fields in ["bodys", "header[]", "body,,header"] {
            let answer = await front.call(
                "POST", "/v2/publish/https://example.com", [("Upstash-Redact-Fields", fields)])
            #expect(answer.status == 400 && answer.body.contains("invalid Upstash-Redact-Fields"))
        }
        await front.redis.close()
    }

    /// Story: one dead letter whose record can't be read made the whole list a 500. Large ones make pages that end early.
    @Test func deadLettersThatAreDamagedOrLarge() async throws {
        let front = try await APITests.Front()
        let big = String(repeating: "x", count: 3 << 20)
        for number in 1...5 {
            let id = "\(1_735_689_600_000 + number)-\(number)"
            let request =
                number == 3
                ? "{"
                : #"{"url":"http://a.test/","method":"POST","header":{},"retries":0,"version":2,"callerIp":"::1","createdAt":1,"notBefore":1}"#
            try await front.redis.send(
                "HSET", "roost:{0}:dead:\(id)", "message", "msg_\(number)", "request", request, "body", big, "status",
                "500", "error", "e")
            try await front.redis.send("ZADD", "roost:{0}:dead", "\(1_735_689_600_000 + number)", id)
        }
        var seen: [String] = []
        for named in ["", "&dlqIds=1735689600001-1,1735689600002-2,1735689600004-4,1735689600003-3"] {
            var cursor: String?
            seen = []
            repeat {
                let answer = await front.call(
                    "GET", "/v2/dlq?order=earliestFirst" + named + (cursor.map { "&cursor=\($0)" } ?? ""))
                #expect(answer.status == 200 && answer.body.utf8.count < 16 << 20)
                let page = try #require(
                    try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any])
                seen += (page["messages"] as? [[String: Any]] ?? []).compactMap { $0["messageId"] as? String }
                cursor = page["cursor"] as? String
            } while cursor != nil
            #expect(
                seen
                    == (named.isEmpty
                        ? ["msg_1", "msg_2", "msg_3", "msg_4", "msg_5"] : ["msg_1", "msg_2", "msg_4", "msg_3"]))
        }
        let one = await front.call("POST", "/v2/dlq/retry/1735689600003-3")
        #expect(one.status == 400 && one.body.contains("can't be read"))
        let all = await front.call("POST", "/v2/dlq/retry", [("Upstash-Delay", "1h")])
        #expect(all.status == 201 && all.body.components(separatedBy: "messageId").count == 5)
        #expect(await front.call("DELETE", "/v2/dlq").body == #"{"deleted":1}"#)
        await front.redis.close()
    }

    /// The log keeps the body of a fan-out once and shows it for each of its messages.
    @Test func theLogKeepsABodyOnceForAFanOut() async throws {
        let front = try await APITests.Front()
        let endpoints = (0..<50).map { #"{"url":"https://example.com/\#($0)"}"# }.joined(separator: ",")
        _ = await front.call("POST", "/v2/topics/t/endpoints", body: #"{"endpoints":[\#(endpoints)]}"#)
        _ = await front.call(
            "POST", "/v2/publish/t", [("Upstash-Delay", "1h")], body: String(repeating: "b", count: 10_000))
        let body = await front.call("GET", "/v2/logs").body
        #expect(body.components(separatedBy: #""body":"YmJi"#).count == 51)
        let bytes = try await front.redis.send("MEMORY", "USAGE", "roost:{0}:log:1").int64 ?? 0
        #expect(bytes < 100_000, "\(bytes)")
        await front.redis.close()
    }

    @Test func rotatingKeysKeepsOneOfThem() async throws {
        let front = try await APITests.Front()
        func pair(_ method: String, _ target: String) async throws -> SigningKeys {
            struct Pair: Decodable {
                let current: String
                let next: String
            }
            let read = try JSONDecoder().decode(Pair.self, from: Data(await front.call(method, target).body.utf8))
            return SigningKeys(current: read.current, next: read.next)
        }
        let first = try await pair("GET", "/v2/keys")
        let second = try await pair("POST", "/v2/keys/rotate")
        #expect(second.current == first.next && second.next != first.current && second.next.hasPrefix("sig_"))
        #expect(try await pair("GET", "/v1/keys") == second)
        #expect(await front.call("POST", "/v2/keys/rotate", token: "read").status == 403)
        await front.redis.close()
    }
}
