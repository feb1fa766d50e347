/// The publishing side of the benchmark.

import CurlLink
import Foundation
import Histogram
import Synchronization

struct BenchLoad: Sendable {
    let bench: Bench
    let server: BenchServer
    let sink: BenchSink
    let client: CurlClient

    init(bench: Bench, server: BenchServer, sink: BenchSink) {
        (self.bench, self.server, self.sink) = (bench, server, sink)
        client = CurlClient()
    }

    private final class Tally: Sendable {
        private let state = Mutex(
            (latency: Histogram<UInt64>(numberOfSignificantValueDigits: .three), failures: [String: Int]()))
        private let next = Atomic<Int>(0)

        /// The number of the next message.
        func take() -> Int { next.wrappingAdd(1, ordering: .relaxed).oldValue }

        func record(_ took: Duration, failure: String?) {
            let (seconds, attoseconds) = took.components
            let microseconds = UInt64(max(0, seconds * 1_000_000 + attoseconds / 1_000_000_000_000))
            state.withLock { state in
                state.latency.record(microseconds)
                if let failure { state.failures[failure, default: 0] += 1 }
            }
        }

        var result: (latency: Histogram<UInt64>, failures: [String: Int]) { state.withLock { $0 } }
    }

    /// Publishes all messages; answers the time each publish took, in microseconds.
    func publish() async throws -> Histogram<UInt64> {
        let tally = Tally()
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: bench.size)
        let now = Int64(Date().timeIntervalSince1970)
        var dueAt = bench.dueIn > 0 ? now + Int64(bench.dueIn) : nil
        if bench.schedules { dueAt = (now + 5 + Int64(bench.messages) / 2000) / 60 * 60 + 60 }
        let due = dueAt
        let started = ContinuousClock.now
        let callers = bench.rate > 0 ? max(bench.concurrency, bench.rate) : bench.concurrency
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<min(callers, bench.messages) {
                group.addTask {
                    while true {
                        let number = tally.take()
                        guard number < bench.messages else { return }
                        var start = ContinuousClock.now
                        if bench.rate > 0 {
                            // The time a publish was planned for counts, not when a busy caller got to it.
                            let planned = started + .microseconds(Int64(number) * 1_000_000 / Int64(bench.rate))
                            if planned > start { try? await Task.sleep(until: planned) }
                            start = min(planned, .now)
                        }
                        let failure = await publishOne(body, number: number, dueAt: due)
                        tally.record(ContinuousClock.now - start, failure: failure)
                    }
                }
            }
        }
        let result = tally.result
        guard result.failures.isEmpty else { throw CommandFailure(text: "publishing failed: \(result.failures)") }
        return result.latency
    }

    private func publishOne(_ body: [UInt8], number: Int, dueAt: Int64?) async -> String? {
        var headers = authorization
        var planned = BenchSink.microseconds()
        if bench.waiting {
            headers.append(("Upstash-Delay", "30d"))
        } else if let dueAt {
            if bench.schedules {
                headers.append(("Upstash-Cron", "\(dueAt / 60 % 60) \(dueAt / 3600 % 24) * * *"))
            } else {
                headers.append(("Upstash-Not-Before", "\(dueAt)"))
            }
            planned = dueAt * 1_000_000
        } else if bench.delay > 0 {
            headers.append(("Upstash-Delay", "\(bench.delay)s"))
            planned += Int64(bench.delay) * 1_000_000
        }
        headers.append(("Upstash-Forward-Planned", "\(planned)"))
        if bench.callback { headers.append(("Upstash-Callback", "http://127.0.0.1:\(sink.port)/callback")) }
        if bench.keys > 0 {
            headers.append(("Upstash-Flow-Control-Key", "key-\(number % bench.keys)"))
            headers.append(("Upstash-Flow-Control-Value", bench.keyValue))
        }
        let path =
            if bench.schedules { "schedules" } else if bench.queues > 0 {
                "enqueue/queue-\(number % bench.queues)"
            } else { "publish" }
        return await post(path, "http://127.0.0.1:\(sink.port)/sink", headers, body)
    }

    private var authorization: [(name: String, value: String)] {
        [("Authorization", "Bearer \(BenchServer.token)"), ("Content-Type", "text/plain")]
    }

    private func post(
        _ path: String, _ destination: String, _ headers: [(name: String, value: String)], _ body: [UInt8]
    ) async -> String? {
        let exchange = HTTPExchange(
            url: "\(server.url)/v2/\(path)/\(destination)", method: "POST", headers: headers, body: body,
            timeoutMilliseconds: 60_000)
        switch await client.send(exchange) {
        case .response(let response): return response.status == 200 ? nil : "status \(response.status)"
        case .failure(let failure): return failure.description
        }
    }

    /// Publishes what never gets an answer, to other addresses of this machine, and waits until it is in flight.
    func startHanging() async throws {
        for number in 0..<bench.hang {
            let host = "127.0.1.\(number % bench.hangHosts + 1)"
            if let failure = await post("publish", "http://\(host):\(sink.port)/hang", authorization, []) {
                throw CommandFailure(text: "publishing failed: \(failure)")
            }
        }
        try await sink.wait(for: 0, hanging: bench.hang, patience: .seconds(20))
    }
}
