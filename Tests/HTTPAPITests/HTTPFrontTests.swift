import Domain
import Foundation
import HTTPAPI
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

/// The socket side: what hostile bytes get for an answer.
@Suite struct HTTPFrontTests {
    static func front(
        limit: Int = 1000, bodyTimeout: TimeAmount = .seconds(30), together: Int = 512 << 20, connections: Int = 100,
        admits: @escaping @Sendable (APIRequest) -> Refusal? = { _ in nil },
        respond: @escaping Responder = { APIResponse(text: "\($0.method) \($0.target) \($0.body.count)") }
    ) async throws -> (HTTPFront, Int) {
        var settings = FrontSettings()
        settings.port = 0
        settings.maxBody = { _, _ in limit }
        settings.bodyTimeout = bodyTimeout
        settings.maxBodiesBytes = together
        settings.maxConnections = connections
        settings.admits = admits
        let front = HTTPFront(
            settings: settings, group: MultiThreadedEventLoopGroup.singleton, metrics: APIMetrics(),
            logger: TestRedis.quiet, respond: respond)
        return (front, try await front.start())
    }

    /// Sends bytes and reads until the server closes or a whole answer is there.
    static func talk(_ port: Int, _ bytes: [UInt8], from source: UInt32 = 0x7F00_0001) async -> String {
        // On a thread that may block: the server answers on the pool the tests run on.
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: exchange(port, bytes, source)) }
        }
    }

    private static func exchange(_ port: Int, _ bytes: [UInt8], _ source: UInt32) -> String {
        let descriptor = connected(to: port, answersWithin: timeval(tv_sec: 10, tv_usec: 0), from: source)
        defer { close(descriptor) }
        _ = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            answer += buffer.prefix(count)
        }
        return String(decoding: answer, as: UTF8.self)
    }

    private static func connected(
        to port: Int, answersWithin limit: timeval, from source: UInt32 = 0x7F00_0001
    ) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        func with(_ host: UInt32, _ port: UInt16, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = host.bigEndian
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        #expect(with(source, 0) { bind(descriptor, $0, $1) } == 0)
        #expect(with(0x7F00_0001, UInt16(port)) { connect(descriptor, $0, $1) } == 0)
        var limit = limit
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        return descriptor
    }

    /// Sends a byte of the body every few milliseconds; answers how many went before the server closed.
    private static func drip(_ port: Int, _ head: [UInt8], atMost most: Int) async -> Int {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let descriptor = connected(to: port, answersWithin: timeval(tv_sec: 0, tv_usec: 5_000))
                defer { close(descriptor) }
                _ = Foundation.send(descriptor, head, head.count, Int32(MSG_NOSIGNAL))
                var byte: UInt8 = 0
                var sent = 0
                while sent < most, recv(descriptor, &byte, 1, 0) < 0, errno == EAGAIN {
                    guard Foundation.send(descriptor, "x", 1, Int32(MSG_NOSIGNAL)) == 1 else { break }
                    sent += 1
                }
                continuation.resume(returning: sent)
            }
        }
    }

    @Test func aRawTargetArrivesByteForByte() async throws {
        let (front, port) = try await Self.front()
        let answer = await Self.talk(
            port,
            Array(
                "POST /v2/publish/https://e.com/a//b/../c%20?x=%26 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
                    .utf8))
        #expect(answer.contains("POST /v2/publish/https://e.com/a//b/../c%20?x=%26 2"))
        for (target, path) in [
            ("http://a:1/v2/publish/http://e.com//", "/v2/publish/http://e.com//"), ("HTTPS://a", "/"),
            ("http://a?x", "/?x"),
        ] {
            let answer = await Self.talk(
                port, Array("GET \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            #expect(answer.contains("GET \(path) 0"), "\(answer)")
        }
        await front.shutDown(within: .seconds(1))
    }

    @Test func anOversizedBodyIsRefusedBeforeItIsRead() async throws {
        let (front, port) = try await Self.front()
        let declared = await Self.talk(
            port, Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n".utf8))
        #expect(declared.hasPrefix("HTTP/1.1 413") && declared.contains(#"{"error":"#))
        let chunk = "400\r\n" + String(repeating: "x", count: 1024) + "\r\n"
        let chunked = await Self.talk(
            port, Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)".utf8))
        #expect(chunked.hasPrefix("HTTP/1.1 413"))
        await front.shutDown(within: .seconds(1))
    }

    @Test func brokenRequestsGetAClearAnswer() async throws {
        let (front, port) = try await Self.front()
        let bomb = (0..<400).map { "X-\($0): 1\r\n" }.joined()
        #expect(await Self.talk(port, Array("GET / HTTP/1.1\r\nHost: a\r\n\(bomb)\r\n".utf8)).hasPrefix("HTTP/1.1 431"))
        let long = String(repeating: "a", count: 100_000)
        #expect(
            await Self.talk(port, Array("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n".utf8)).hasPrefix(
                "HTTP/1.1 431"))
        #expect(
            await Self.talk(port, Array("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".utf8))
                .hasPrefix("HTTP/1.1 400"))
        #expect(await Self.talk(port, Array("nonsense\r\n\r\n".utf8)).hasPrefix("HTTP/1.1 400"))
        for (head, reason) in [
            ("GET /\u{e4} HTTP/1.1\r\nHost: a", "a byte of the target must be percent-encoded"),
            ("FETCH / HTTP/1.1\r\nHost: a", "unknown method"),
            ("GET / HTTP/1.1\r\nHost: a\r\nbad name: x", "a header line"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x", "the length of the body"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2", "the length of the body"),
        ] {
            let answer = await Self.talk(port, Array("\(head)\r\n\r\n".utf8))
            #expect(
                answer.hasPrefix("HTTP/1.1 400") && answer.contains("malformed HTTP request: \(reason)"),
                "\(head): \(answer)")
        }
        let after = await Self.talk(port, Array("GET /still HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        #expect(after.contains("GET /still 0"))
        await front.shutDown(within: .seconds(1))
    }

    /// Two whole requests in one segment: the second came while the first was answered, and was lost.
    @Test func pipelinedRequestsAreAllAnswered() async throws {
        let (front, port) = try await Self.front()
        let requests = (1...5).map { number in
            "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\(number == 5 ? "Connection: close\r\n" : "")\r\nx"
        }
        let answer = await Self.talk(port, Array(requests.joined().utf8))
        #expect(answer.components(separatedBy: "HTTP/1.1 200").count == 6)
        for number in 1...5 { #expect(answer.contains("POST /\(number) 1")) }
        await front.shutDown(within: .seconds(1))
    }

    @Test func anAnswerToHeadHasNoBody() async throws {
        let (front, port) = try await Self.front()
        let answer = await Self.talk(port, Array("HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        #expect(answer.contains("Content-Length: 9") && answer.hasSuffix("\r\n\r\n"))
        await front.shutDown(within: .seconds(1))
    }

    /// Nobody without a token makes the server read much.
    @Test func aLargeBodyIsReadOnlyForThoseWhoAreAdmitted() async throws {
        let (front, port) = try await Self.front(limit: 10 << 20) { request in
            request.headers.contains { $0.name == "Token" } ? nil : Refusal(.missingToken)
        }
        let large = "Content-Length: 9000000\r\n"
        let refused = await Self.talk(port, Array("POST / HTTP/1.1\r\nHost: a\r\n\(large)\r\n".utf8))
        #expect(refused.hasPrefix("HTTP/1.1 401"))
        let chunk = "20000\r\n" + String(repeating: "x", count: 0x20000) + "\r\n"
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        #expect(await Self.talk(port, Array("\(chunked)\r\n\(chunk)".utf8)).hasPrefix("HTTP/1.1 401"))
        let admitted = await Self.talk(
            port, Array("\(chunked)Connection: close\r\nToken: 1\r\n\r\n\(chunk)\(chunk)0\r\n\r\n".utf8))
        #expect(admitted.hasPrefix("HTTP/1.1 200") && admitted.contains("POST / 262144"))
        await front.shutDown(within: .seconds(1))
    }

    @Test func aBodyThatIsDrippedIsCutOff() async throws {
        let (front, port) = try await Self.front(limit: 1 << 20, bodyTimeout: .milliseconds(300))
        let sent = await Self.drip(
            port, Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".utf8), atMost: 5000)
        #expect((1..<1000).contains(sent))
        let silent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"
        #expect(await Self.talk(port, Array(silent.utf8)).hasPrefix("HTTP/1.1 408"))
        await front.shutDown(within: .seconds(1))
    }

    @Test func largeBodiesTogetherAreBounded() async throws {
        let (front, port) = try await Self.front(limit: 1 << 20, together: 100_000)
        func post(_ size: Int) -> [UInt8] {
            Array("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: \(size)\r\n\r\n".utf8)
                + [UInt8](repeating: 120, count: size)
        }
        // One after the other there is room for each, so it is given back; none for what is larger than all of it.
        for _ in 0..<3 { #expect(await Self.talk(port, post(90_000)).hasPrefix("HTTP/1.1 200")) }
        let refused = await Self.talk(port, post(110_000))
        #expect(refused.hasPrefix("HTTP/1.1 503") && refused.contains("too many large requests at once"))
        #expect(await Self.talk(port, post(90_000)).hasPrefix("HTTP/1.1 200"))
        await front.shutDown(within: .seconds(1))
    }

    /// A proxy in front must not read one request in another way than this server.
    @Test func aRequestThatCouldBeReadInTwoWaysIsRefused() async throws {
        let (front, port) = try await Self.front()
        for (head, status) in [
            ("POST / HTTP/1.1\r\n", 400), ("POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a b\r\n", 400), ("POST / HTTP/1.1\r\nHost: a/b\r\n", 400),
            ("POST / HTTP/1.0\r\n", 200), ("POST / HTTP/1.1\r\nHost:\r\n", 200),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n", 413),
        ] {
            let answer = await Self.talk(port, Array("\(head)Connection: close\r\n\r\n".utf8))
            #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(head): \(answer)")
        }
        await front.shutDown(within: .seconds(1))
    }

    @Test func oneAddressLeavesRoomForOthers() async throws {
        let (front, port) = try await Self.front(connections: 10)
        let request = Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
        let idle = (0..<4).map { _ in Self.connected(to: port, answersWithin: timeval(tv_sec: 10, tv_usec: 0)) }
        #expect(await Self.talk(port, request).hasPrefix("HTTP/1.1 200"))
        let more = (0..<6).map { _ in Self.connected(to: port, answersWithin: timeval(tv_sec: 10, tv_usec: 0)) }
        #expect(await Self.talk(port, request) == "")
        #expect(await Self.talk(port, request, from: 0x7F00_0002).hasPrefix("HTTP/1.1 200"))
        for descriptor in idle + more { close(descriptor) }
        await front.shutDown(within: .seconds(1))
    }

    /// Answers that nobody reads must not fill the memory: the next request waits until the peer has taken the last one.
    @Test func whoDoesNotReadIsAnsweredNoMore() async throws {
        let answered = Mutex(0)
        let (front, port) = try await Self.front(respond: { _ in
            answered.withLock { $0 += 1 }
            return APIResponse(text: String(repeating: "x", count: 1 << 20))
        })
        let descriptor = Self.connected(to: port, answersWithin: timeval(tv_sec: 10, tv_usec: 0))
        let requests = Array(String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 200).utf8)
        _ = Foundation.send(descriptor, requests, requests.count, Int32(MSG_NOSIGNAL))
        // Another connection is served meanwhile, until nothing more is answered here: what the sockets hold, and no more.
        var (others, seen, still) = (0, -1, 0)
        while still < 20 {
            let answer = await Self.talk(port, Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            #expect(answer.hasPrefix("HTTP/1.1 200"))
            others += 1
            let now = answered.withLock { $0 } - others
            still = now == seen ? still + 1 : 0
            seen = now
        }
        #expect(seen < 100)
        // Once it reads, it gets every answer.
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var got = 0
        while got < 200 << 20 {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            got += count
        }
        #expect(got >= 200 << 20 && answered.withLock { $0 } == 200 + others)
        close(descriptor)
        await front.shutDown(within: .seconds(1))
    }

    /// One read more is asked for while an answer is made: not one more each time it brought something, or who pipelines
    /// without end would fill the memory.
    @Test func whatComesBeforeTheAnswerIsReadOnce() async throws {
        let held = Mutex<[CheckedContinuation<Void, Never>]>([])
        let (front, port) = try await Self.front(
            limit: 60_000,
            respond: { request in
                if request.method == "POST" {
                    await withCheckedContinuation { continuation in held.withLock { $0.append(continuation) } }
                }
                return APIResponse(text: "done")
            })
        let descriptor = Self.connected(to: port, answersWithin: timeval(tv_sec: 10, tv_usec: 0))
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + String(repeating: "x", count: 60_000)
        let bytes = Array(String(repeating: post, count: 20).utf8)
        // As much as the server and the kernel take, while it answers others.
        let whole = 256 << 20
        var (sent, seen, still) = (0, -1, 0)
        while still < 20, sent < whole {
            while sent < whole {
                let from = sent % bytes.count
                let count = bytes.withUnsafeBytes {
                    Foundation.send(
                        descriptor, $0.baseAddress! + from, bytes.count - from,
                        Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                guard count > 0 else { break }
                sent += count
            }
            let answer = await Self.talk(port, Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            #expect(answer.hasPrefix("HTTP/1.1 200"))
            still = sent == seen ? still + 1 : 0
            seen = sent
        }
        #expect(sent < whole / 2)
        close(descriptor)
        for continuation in held.withLock({ $0 }) { continuation.resume() }
        await front.shutDown(within: .seconds(1))
    }
}
