import Domain
import HTTPAPI
import RedisLink
import TestSupport
import Testing

/// POST /v2/batch as the contract describes it (publish.md §8).
@Suite struct BatchTests {
    private func group(_ front: APITests.Front) async {
        let made = await front.call(
            "POST", "/v2/topics/my-url-group/endpoints",
            body: #"{"endpoints":[{"url":"https://a.example.com/hook"},{"url":"https://b.example.com/hook"}]}"#)
        #expect(made.status == 200)
    }

    @Test func answersInOrderAndFailsAnItemAlone() async throws {
        let front = try await APITests.Front()
        await group(front)
        let answer = await front.call(
            "POST", "/v2/batch",
            body: #"""
                [{"destination":"my-url-group","headers":{"Upstash-Delay":"5s","Upstash-Forward-Hello":"123456"},"body":"x"},
                 {"destination":"https://example.com/one","headers":{"upstash-delay":"60","Upstash-Forward-X":["a","b"]},"queue":null},
                 {"destination":"https://example.com/two","headers":{"upstash-retries":"0"},"queue":"my-queue","body":null},
                 {"destination":"https://example.com/three","headers":{"Upstash-Cron":"0 0 * * *"},"unknown":1},
                 {"destination":"https://example.com/four","headers":{"Upstash-Retries":"101"}},
                 {"destination":"no-such-group"}]
                """#)
        #expect(answer.status == 200)
        let items = try #require(JSONValue.read(Array(answer.body.utf8)).array)
        #expect(items.count == 6)
        #expect(
            items[0].array?.map { $0.object?["url"]?.string } == [
                "https://a.example.com/hook", "https://b.example.com/hook",
            ])
        #expect(items[1].object?["url"]?.string == "https://example.com/one")
        #expect(items[2].object?["messageId"]?.string?.hasPrefix("msg_") == true)
        #expect(items[3].object?["scheduleId"]?.string?.hasPrefix("scd_") == true)
        #expect(items[4].object?["error"]?.string == "quota maxRetries exceeded, current limit: 100")
        #expect(items[5].object?["error"]?.string == "topic no-such-group not found")
        #expect(try await front.stored() == 4)
        #expect(await front.call("GET", "/v2/queues/my-queue").body.contains(#""lag":1"#))
        let id = items[1].object?["messageId"]?.string ?? ""
        #expect(await front.call("GET", "/v2/messages/\(id)").body.contains(#""header":{"X":["a","b"]}"#))
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }

    @Test func oneMalformedItemStoresNothing() async throws {
        let front = try await APITests.Front()
        await group(front)
        let good = #"{"destination":"https://example.com/"}"#
        for (bad, text) in [
            (
                #"{"destination":"https://example.com/","headers":{"Upstash-Delay":"1w"}}"#,
                "item 1: invalid Upstash-Delay"
            ),
            (#"{"destination":"ftp://example.com/"}"#, "item 1: invalid destination url"),
            (#"{"destination":""}"#, "item 1: a non-empty destination must be provided"),
            (#"{}"#, "item 1: a non-empty destination must be provided"),
            (
                #"{"destination":"no-such-group","headers":{"Upstash-Method":"FETCH"}}"#,
                "item 1: invalid Upstash-Method"
            ),
            (#"{"destination":"http://127.0.0.1/"}"#, "loopback"),
            (#"{"destination":"https://example.com/","body":{"a":1}}"#, "body"),
            (#"{"destination":"https://example.com/","headers":["a"]}"#, "headers"),
            (#"{"destination":"https://example.com/","headers":{"Upstash-Forward-X":"a\r\nb"}}"#, "control character"),
            (#"{"destination":"https://example.com/","queue":"a b"}"#, "invalid queue name"),
            (#""https://example.com/""#, "item 1"),
        ] {
            let answer = await front.call("POST", "/v2/batch", body: "[\(good),\(bad)]")
            #expect(answer.status == 400 && answer.body.contains(text), "\(bad): \(answer)")
        }
        for body in ["", "{}", "[", #"{"destination":"https://example.com/"}"#, "[]]"] {
            #expect(await front.call("POST", "/v2/batch", body: body).status == 400, "\(body)")
        }
        #expect(await front.call("POST", "/v2/batch", body: "[]").body == "[]")
        #expect(await front.call("GET", "/v2/batch").status == 405)
        #expect(try await front.stored() == 0)
        await front.redis.close()
    }

    /// Story: reading an item ended at a value over a limit; what was malformed behind it failed the item alone, and the others
    /// went out.
    @Test func aValueOverALimitHidesNoMistake() async throws {
        let front = try await APITests.Front()
        for (headers, text) in [
            (#""Upstash-Retries":"101","Upstash-Delay":"1w""#, "invalid Upstash-Delay"),
            (#""Upstash-Delay":"366d","Upstash-Retries":"101","Upstash-Deduplication-Id":"a:b""#, "DeduplicationId"),
            (#""Upstash-Timeout":"3h","Upstash-Callback":"zz""#, "invalid Upstash-Callback"),
            (#""Upstash-Callback-Retries":"101","Upstash-Forward-X":"a\nb""#, "invalid Upstash-Forward-X"),
            (
                #""Upstash-Not-Before":"99999999999999999999","Upstash-Redact-Fields":"zz""#,
                "invalid Upstash-Redact-Fields"
            ),
        ] {
            let item = #"{"destination":"https://example.com/","headers":{\#(headers)}}"#
            let answer = await front.call(
                "POST", "/v2/batch", body: #"[{"destination":"https://example.com/"},\#(item)]"#)
            #expect(answer.status == 400 && answer.body.contains("item 1: \(text)"), "\(headers): \(answer)")
        }
        let large = String(repeating: "x", count: 1 << 20 + 1)
        let answer = await front.call(
            "POST", "/v2/batch",
            body:
                #"[{"destination":"https://example.com/","headers":{"Upstash-Deduplication-Id":"a:b"},"body":"\#(large)"}]"#
        )
        #expect(answer.status == 400)
        #expect(try await front.stored() == 0)
        await front.redis.close()
    }

    /// More than one chunk, messages of two queues and a topic among them: each queue holds its own in the order given.
    @Test func aQueueHoldsTheItemsOfABatchInOrder() async throws {
        let front = try await APITests.Front()
        await group(front)
        let items = (0..<450).map { number in
            let destination = number % 50 == 7 ? "my-url-group" : "https://example.com/"
            return #"{"destination":"\#(destination)","queue":"q\#(number % 2)","body":"\#(number)"}"#
        }
        #expect(await front.call("POST", "/v2/batch", body: "[\(items.joined(separator: ","))]").status == 200)
        for queue in 0..<2 {
            let entries = try await front.redis.send("XRANGE", "roost:{0}:lane:queue:q\(queue)", "-", "+").array ?? []
            var bodies: [Int] = []
            for entry in entries {
                let id = entry.array?[1].array?[1].string ?? ""
                bodies.append(
                    Int(try await front.redis.send("HGET", "roost:{0}:message:\(id)", "body").string ?? "") ?? -1)
            }
            #expect(bodies == bodies.sorted() && Set(bodies).count == 225)
        }
        #expect(try await front.redis.audit() == [])
        await front.redis.close()
    }
}
