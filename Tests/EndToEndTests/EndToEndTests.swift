import Foundation
import RedisLink
import TestSupport
import Testing

/// The built binary, driven from outside by the Python programs in this folder: the official client and a sink.
@Suite(.serialized) struct EndToEndTests {
    /// The binary of the same build.
    static let binary = Contract.top.appendingPathComponent(".build/debug/roost").path

    static let scenarios = [
        "cli.py", "client.py", "crash.py", "doctor.py", "door.py", "endpoints.py", "faults.py", "gates.py", "golden.py",
        "leaving.py", "openapi.py", "operations.py", "points.py", "races.py", "schedules.py", "sdk.py", "serve.py",
    ]

    /// `ops/test --all` adds what takes long.
    static var all: [String] {
        scenarios
            + (ProcessInfo.processInfo.environment["ROOST_TEST_ALL"] == nil
                ? [] : ["clocks.py", "console.py", "copies.py", "fuzz.py", "storms.py"])
    }

    func run(_ script: String) throws -> (code: Int32, output: String) {
        let python = Contract.top.appendingPathComponent(".build/venv/bin/python").path
        let path = Contract.top.appendingPathComponent("Tests/EndToEndTests/\(script)").path
        let log = NSTemporaryDirectory() + "roost-test-\(UUID().uuidString).log"
        defer { try? FileManager.default.removeItem(atPath: log) }
        setenv("ROOST_TEST_BINARY", Self.binary, 1)
        let pid = ChildProcess.spawn([python, path], log: log)
        #expect(pid > 0)
        var code: Int32?
        while code == nil {
            code = ChildProcess.hasEnded(pid)
            if code == nil { usleep(20_000) }
        }
        return (code ?? -1, (try? String(contentsOfFile: log, encoding: .utf8)) ?? "")
    }

    @Test(.timeLimit(.minutes(3)), arguments: Self.all)
    func scenario(_ script: String) throws {
        let (code, output) = try run(script)
        #expect(code == 0, "\(script):\n\(output)")
    }

    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["ROOST_TEST_ALL"] != nil), .timeLimit(.minutes(40)))
    func aMillionMessagesDueAtOnce() throws {
        let (code, output) = try run("million.py")
        #expect(code == 0, "\(output)")
    }
}
