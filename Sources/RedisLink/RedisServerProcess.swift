/// A private redis-server as a child: on a unix socket, with its data where it is told, never outliving its parent.

import CProcess
import Foundation
import Synchronization

/// Used by `roost dev`, by the benchmark and by every test that wants a real Redis.
package final class RedisServerProcess: Sendable {
    package struct Options: Sendable {
        /// Where the append-only file lives; nil: a temporary folder that goes with the server.
        package var dataFolder: String?
        package var appendOnly = true
        /// `always`, `everysec` or `no`.
        package var fsync = "everysec"
        /// Further words for the command line: `["--maxmemory", "10mb"]`.
        package var arguments: [String] = []
        package init() {}
    }

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private struct State {
        var pid: Int32?
    }

    package let socketPath: String
    package let options: Options
    private let folder: String
    private let dataFolder: String
    private let state = Mutex(State())

    package var url: RedisURL { RedisURL(unix: socketPath) }
    package var pid: Int32? { state.withLock { $0.pid } }

    /// Starts the server and waits until it answers; a large append-only file may take its time to load.
    package init(_ options: Options = Options()) throws(Failure) {
        self.options = options
        // Socket paths end at 107 bytes, so never below a data folder of any depth.
        var template = Array("/tmp/roost-redis-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else {
            throw Failure(description: "can't make a folder in /tmp: \(String(cString: strerror(errno)))")
        }
        folder = String(cString: made)
        socketPath = folder + "/redis.sock"
        dataFolder = options.dataFolder ?? folder
        try start()
    }

    /// Starts it again on the same data and the same socket, after `stop` or `kill`.
    package func start() throws(Failure) {
        do {
            try FileManager.default.createDirectory(atPath: dataFolder, withIntermediateDirectories: true)
        } catch {
            throw Failure(description: "can't make the data folder \(dataFolder): \(error.localizedDescription)")
        }
        unlink(socketPath)
        let words =
            [
                "redis-server", "--port", "0", "--unixsocket", socketPath, "--unixsocketperm", "700", "--dir",
                dataFolder,
                "--save", "", "--appendonly", options.appendOnly ? "yes" : "no", "--appendfsync", options.fsync,
                "--hash-max-listpack-value", "2048", "--hash-max-listpack-entries", "32",
                "--auto-aof-rewrite-min-size", "256mb", "--maxmemory-policy", "noeviction", "--daemonize", "no",
            ] + options.arguments
        let pid = ChildProcess.spawn(words, log: logPath)
        guard pid > 0 else {
            throw Failure(
                description: "can't start redis-server: \(String(cString: strerror(errno))); is it installed?")
        }
        state.withLock { $0.pid = pid }
        try waitUntilReady(pid)
    }

    private var logPath: String { folder + "/redis.log" }

    private func waitUntilReady(_ pid: Int32) throws(Failure) {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if UnixProbe.answers(PING: socketPath) { return }
            if ChildProcess.hasEnded(pid) != nil {
                state.withLock { $0.pid = nil }
                let log = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
                let last = log.split(separator: "\n").suffix(5).joined(separator: "\n")
                throw Failure(description: "redis-server ended at once:\n\(last)")
            }
            usleep(2000)
        }
        kill()
        throw Failure(description: "redis-server did not answer within a minute")
    }

    /// Ends it in order: everything written is on disk.
    package func stop() { end(SIGTERM) }

    /// SIGKILL, as a crash would.
    package func kill() { end(SIGKILL) }

    private func end(_ signal: Int32) {
        guard
            let pid = state.withLock({ state in
                defer { state.pid = nil }
                return state.pid
            })
        else { return }
        ChildProcess.end(pid, signal: signal, within: .seconds(10))
    }

    /// Stops it and removes its temporary folder. Data in a folder that was given stays.
    package func close() {
        stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    deinit { close() }
}

/// Asks a unix socket `PING` with plain system calls: the server is started before any event loop runs.
private enum UnixProbe {
    static func answers(PING path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return false }
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard write(descriptor, "PING\r\n", 6) == 6 else { return false }
        var answer = [UInt8](repeating: 0, count: 64)
        let count = read(descriptor, &answer, answer.count)
        return count > 0 && answer.prefix(count).starts(with: "+PONG".utf8)
    }
}
