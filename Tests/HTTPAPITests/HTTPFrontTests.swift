import Domain
import Foundation
import HTTPAPI
import NIOPosix
import TestSupport
import Testing

/// The socket side: what hostile bytes get for an answer.
@Suite struct HTTPFrontTests {
    static func front() async throws -> (HTTPFront, Int) {
        var settings = FrontSettings()
        settings.port = 0
        settings.maxBody = { _, _ in 1000 }
        let front = HTTPFront(
            settings: settings, group: MultiThreadedEventLoopGroup.singleton, metrics: APIMetrics(),
            logger: TestRedis.quiet
        ) { request in APIResponse(text: "\(request.method) \(request.target) \(request.body.count)") }
        return (front, try await front.start())
    }

    /// Sends bytes and reads until the server closes or a whole answer is there.
    static func talk(_ port: Int, _ bytes: [UInt8]) async -> String {
        // On a thread that may block: the server answers on the pool the tests run on.
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: exchange(port, bytes)) }
        }
    }

    private static func exchange(_ port: Int, _ bytes: [UInt8]) -> String {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(connected == 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
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

    @Test func aRawTargetArrivesByteForByte() async throws {
        let (front, port) = try await Self.front()
        let answer = await Self.talk(
            port,
            Array(
                "POST /v2/publish/https://e.com/a//b/../c%20?x=%26 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
                    .utf8))
        #expect(answer.contains("POST /v2/publish/https://e.com/a//b/../c%20?x=%26 2"))
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
        let after = await Self.talk(port, Array("GET /still HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
        #expect(after.contains("GET /still 0"))
        await front.shutDown(within: .seconds(1))
    }
}
