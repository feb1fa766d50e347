/// The processes that are measured: a Redis and a `roost serve`.

import CurlLink
import Foundation
import Logging
import NIOPosix
import RedisLink

struct ProcessorTime {
    var server: Double
    var redis: Double
}

final class BenchServer: Sendable {
    static let token = "benchmark-token-of-this-run-only"
    let port: Int
    private let pid: Int32
    private let redis: RedisServerProcess
    private let client: RedisClient
    private let log: String

    var url: String { "http://127.0.0.1:\(port)" }

    init() throws {
        do { redis = try RedisServerProcess() } catch { throw CommandFailure(text: error.description) }
        port = try Self.freePort()
        log = NSTemporaryDirectory() + "/roost-bench-\(getpid()).log"
        // Secrets belong in the environment, which the child inherits.
        for (name, value) in [
            "ROOST_REDIS_URL": "unix://\(redis.socketPath)", "QSTASH_TOKEN": Self.token, "ROOST_ALLOW_PRIVATE": "true",
            "ROOST_LOG_LEVEL": "error",
        ] { setenv(name, value, 1) }
        pid = ChildProcess.spawn([try Self.executable(), "serve", "--port", "\(port)"], log: log)
        guard pid > 0 else { throw CommandFailure(text: "can't start roost serve") }
        client = RedisClient(
            url: redis.url, loop: MultiThreadedEventLoopGroup.singleton.next(),
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
    }

    private static func executable() throws -> String {
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw CommandFailure(text: "can't find the roost binary")
        }
        return path
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { Foundation.close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let answer = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) == 0 && getsockname(descriptor, raw, &length) == 0
            }
        }
        guard answer else { throw CommandFailure(text: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    func waitUntilReady(_ curl: CurlClient) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            let exchange = HTTPExchange(
                url: url + "/ready", method: "GET", headers: [], body: [], timeoutMilliseconds: 1000)
            if case .response(let response) = await curl.send(exchange), response.status == 200 { return }
            if ChildProcess.hasEnded(pid) != nil {
                throw CommandFailure(
                    text: "roost serve ended: " + ((try? String(contentsOfFile: log, encoding: .utf8)) ?? ""))
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw CommandFailure(text: "roost serve does not get ready, see \(log)")
    }

    /// Seconds of both processes so far, user and system.
    func cpu() async throws -> ProcessorTime {
        ProcessorTime(server: Self.seconds(of: pid), redis: redis.pid.map(Self.seconds) ?? 0)
    }

    private static func seconds(of pid: Int32) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return 0 }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    func redisMemory() async throws -> Int {
        let info = try await client.send(RedisCommand("INFO", "memory")).string ?? ""
        let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory:") }
        return line.flatMap { Int($0.dropFirst("used_memory:".count)) } ?? 0
    }

    func close() {
        // Hanging requests of the benchmark are not waited for.
        ChildProcess.end(pid, signal: SIGKILL, within: .seconds(1))
        redis.close()
        try? FileManager.default.removeItem(atPath: log)
    }
}
