import CurlLink
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite struct CurlClientTests {
    func send(
        _ url: String, method: String = "POST", headers: [(name: String, value: String)] = [], body: [UInt8] = [],
        timeout: Int = 5000, settings: CurlSettings = CurlSettings(), maxResponse: Int = 1 << 20,
        with shared: CurlClient? = nil
    ) async -> HTTPOutcome {
        let client = shared ?? CurlClient(settings: settings)
        defer { if shared == nil { client.shutDown() } }
        return await client.send(
            HTTPExchange(
                url: url, method: method, headers: headers, body: body, timeoutMilliseconds: timeout,
                maxResponseBytes: maxResponse))
    }

    func response(_ outcome: HTTPOutcome) throws -> HTTPResponse {
        guard case .response(let response) = outcome else { throw Unexpected(what: "\(outcome)") }
        return response
    }

    struct Unexpected: Error { var what: String }

    func failure(_ outcome: HTTPOutcome) -> HTTPFailure? {
        if case .failure(let failure) = outcome { return failure }
        return nil
    }

    @Test func theRequestIsExactlyWhatWasAskedFor() async throws {
        let server = try await ScriptedServer { _ in
            .bytes(ScriptedServer.text("200 OK", headers: ["X-A: 1", "x-a: 2"], body: "yes"))
        }
        for method in ["POST", "GET", "PUT", "PATCH", "DELETE"] {
            let answer = try response(
                await send(
                    server.url + "/a//b/../c?q=%20", method: method, headers: [("X-Empty", ""), ("X-B", "1")],
                    body: Array("body".utf8)))
            #expect(answer.status == 200 && answer.body == Array("yes".utf8))
            #expect(answer.headers.map(\.name) == ["X-A", "x-a", "Content-Length"])
        }
        let first = String(decoding: server.requests[0], as: UTF8.self)
        #expect(first.hasPrefix("POST /a//b/../c?q=%20 HTTP/1.1\r\n") && first.hasSuffix("\r\n\r\nbody"))
        #expect(
            first.contains("X-Empty:") && !first.contains("Accept") && !first.contains("Expect")
                && !first.contains("Content-Type"))
        await server.close()
    }

    @Test func redirectsAreNotFollowed() async throws {
        let server = try await ScriptedServer { _ in
            .bytes(ScriptedServer.text("302 Found", headers: ["Location: /other"]))
        }
        #expect(try response(await send(server.url)).status == 302)
        #expect(server.requests.count == 1)
        await server.close()
    }

    @Test(arguments: [32 << 20, 10 << 30]) func aLongAnswerIsCutAndNeverKept(_ size: Int) async throws {
        let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n".utf8)
        let server = try await ScriptedServer { _ in .flood(head: head, count: size) }
        let answer = try response(await send(server.url, timeout: 30_000, maxResponse: 1000))
        #expect(answer.truncated && answer.body.count == 1000)
        await server.close()
    }

    /// As RFC 9112 5 has them read: a folded line is one, blanks around a name are no part of it, and nothing is no name.
    @Test func oddHeadersAreReadAsTheyWereMeant() async throws {
        let server = try await ScriptedServer { _ in
            .bytes(ScriptedServer.text("200 OK", headers: ["A: b", "\t c ", "D : e", ": f", "G: h: i", "J:"]))
        }
        let headers = try response(await send(server.url)).headers.filter { $0.name != "Content-Length" }
        #expect(headers.map { "\($0.name)=\($0.value)" } == ["A=b\t c", "D=e", "G=h: i", "J="])
        await server.close()
    }

    @Test func hostileAnswersAreFailures() async throws {
        let answers: [(ScriptedServer.Answer, @Sendable (HTTPFailure?) -> Bool)] = [
            (.hang, { $0 == .timeout }),
            (.close, { $0 == .reset }),
            (.bytesThenClose(Array("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".utf8)), { $0 == .reset }),
            (.bytesThenClose(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".utf8)), { $0 != nil }),
            // A connection that ends within the headers of the answer is no delivery.
            (.bytesThenClose(Array("HTTP/1.1 200 OK\r\n".utf8)), { $0 == .reset }),
            (.bytesThenClose(Array("HTTP/1.1 204 No Content\r\nContent-Le".utf8)), { $0 != nil }),
            (
                .bytes(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n".utf8)),
                { $0?.description.contains("101") == true }
            ),
            (
                .bytes(
                    Array(
                        "HTTP/1.1 200 OK\r\nX: \(String(repeating: "a", count: 150_000))\r\nContent-Length: 0\r\n\r\n"
                            .utf8)), { $0 == .headersTooLarge }
            ),
            (.bytesThenClose(Array("nonsense\r\n\r\n".utf8)), { $0 != nil }),
            // A few kilobytes that unpack to gigabytes would stop all transfers of the thread.
            (
                .bytes(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".utf8)),
                { $0?.description.contains("not asked for") == true }
            ),
            (
                .bytes(
                    Array(
                        "HTTP/1.1 200 OK\r\nX: \(String(repeating: "a", count: 90_000))\r\nY: \(String(repeating: "a", count: 90_000))\r\nZ: \(String(repeating: "a", count: 90_000))\r\nW: \(String(repeating: "a", count: 90_000))\r\nContent-Length: 0\r\n\r\n"
                            .utf8)), { $0 == .headersTooLarge }
            ),
        ]
        for (answer, holds) in answers {
            let server = try await ScriptedServer { _ in answer }
            let outcome = await send(server.url, timeout: 1000)
            #expect(holds(failure(outcome)), "\(outcome)")
            await server.close()
        }
    }

    /// curl asks for a large body as it sends it, and from its begin again where the connection that stood open was dead.
    @Test func aLargeBodyIsSentWholeAlsoTheSecondTime() async throws {
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let count = Mutex(0)
        let server = try await ScriptedServer { _ in
            let number = count.withLock { count in
                count += 1
                return count
            }
            return number == 2 ? .close : .bytes(ScriptedServer.text("200 OK"))
        }
        let client = CurlClient()
        for _ in 0..<2 {
            let answer = try response(await send(server.url, method: "PUT", body: body, with: client))
            #expect(answer.status == 200)
        }
        #expect(server.requests.count == 3)
        for request in server.requests {
            #expect(request.suffix(body.count) == body[...])
            let head = String(decoding: request.dropLast(body.count), as: UTF8.self)
            #expect(head.hasPrefix("PUT / HTTP/1.1\r\n") && head.hasSuffix("\r\n\r\n"))
            #expect(head.contains("Content-Length: 300000") && !head.contains("Expect") && !head.contains("Transfer"))
        }
        client.shutDown()
        await server.close()
    }

    /// A proxy says 408 before it closes an idle connection, a buggy endpoint answers twice: neither is the next answer.
    @Test func anAnswerNobodyAskedForIsNotTheNextOne() async throws {
        let (said, unasked) = AsyncStream.makeStream(of: Void.self)
        let server = try await ScriptedServer { request in
            guard String(decoding: request, as: UTF8.self).contains("/first") else {
                return .bytes(ScriptedServer.text("500 Internal Server Error", body: "bad"))
            }
            return .bytesAndLater(
                ScriptedServer.text("200 OK", body: "good"), ScriptedServer.text("200 OK", body: "evil")
            ) { unasked.yield() }
        }
        let client = CurlClient()
        let first = try response(await send(server.url + "/first", with: client))
        #expect(String(decoding: first.body, as: UTF8.self) == "good")
        for await _ in said { break }
        for _ in 0..<3 {
            let next = try response(await send(server.url + "/next", with: client))
            #expect(next.status == 500 && String(decoding: next.body, as: UTF8.self) == "bad")
        }
        #expect(server.requests.count == 4)
        client.shutDown()
        await server.close()
    }

    /// The guard is asked at connect time, and nothing reaches an address it forbids.
    @Test func aForbiddenAddressGetsNoPacket() async throws {
        let server = try await ScriptedServer(host: "127.0.0.2") { _ in .bytes(ScriptedServer.text("200 OK")) }
        var settings = CurlSettings()
        settings.addressGuard = { address, _ in address.bytes == [127, 0, 0, 2] ? "not there" : nil }
        let outcome = await send("http://127.0.0.2:\(server.port)/", settings: settings)
        #expect(failure(outcome) == .blocked("not there"))
        #expect(server.requests.isEmpty)
        await server.close()
    }

    @Test func aClosedPortIsRefused() async throws {
        let server = try await ScriptedServer { _ in .hang }
        await server.close()
        #expect(failure(await send(server.url)) == .refused)
    }

    /// A task that was cancelled before it sent was never told, and waited for the whole timeout.
    @Test func aTaskThatIsCancelledAlreadyEndsAtOnce() async throws {
        let server = try await ScriptedServer { _ in .hang }
        let client = CurlClient()
        let started = ContinuousClock.now
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await client.send(
                HTTPExchange(url: server.url, method: "POST", headers: [], body: [], timeoutMilliseconds: 30_000))
        }
        #expect(failure(await task.value) == .cancelled)
        #expect(ContinuousClock.now - started < .seconds(20))
        client.shutDown()
        await server.close()
    }

    @Test func manyAtOnce() async throws {
        let server = try await ScriptedServer { _ in .bytes(ScriptedServer.text("204 No Content")) }
        let client = CurlClient()
        let good = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<600 {
                group.addTask {
                    let outcome = await client.send(
                        HTTPExchange(
                            url: server.url, method: "POST", headers: [], body: [1, 2], timeoutMilliseconds: 20_000))
                    if case .response(let response) = outcome { return response.status == 204 }
                    return false
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(good == 600)
        client.shutDown()
        await server.close()
    }
}
