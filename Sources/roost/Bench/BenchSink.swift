/// The benchmark's receiver: answers at once and notes how late each message was.

import Domain
import Foundation
import HTTPAPI
import Histogram
import Logging
import NIOPosix
import Synchronization

final class BenchSink: Sendable {
    private struct State {
        /// Microseconds from when the message should have come.
        var latency = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var count = 0
        var first: ContinuousClock.Instant?
        var last: ContinuousClock.Instant?
        var hanging = 0
        var waiter: (count: Int, hanging: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state: Mutex<State>
    private let front: HTTPFront
    let port: Int

    init() async throws {
        let state = SharedState()
        var settings = FrontSettings()
        settings.host = "0.0.0.0"
        settings.port = 0
        settings.maxBody = { _, _ in 8 << 20 }
        front = HTTPFront(
            settings: settings, group: MultiThreadedEventLoopGroup.singleton, metrics: APIMetrics(),
            logger: Logger(label: "sink") { _ in SwiftLogNoOpLogHandler() }
        ) { request in
            await state.sink?.receive(request) ?? APIResponse(text: "")
        }
        port = try await front.start()
        self.state = Mutex(State())
        state.sink = self
    }

    /// The front's closure is made before the sink it calls.
    private final class SharedState: Sendable {
        private let box = Mutex<BenchSink?>(nil)
        var sink: BenchSink? {
            get { box.withLock { $0 } }
            set { box.withLock { $0 = newValue } }
        }
    }

    static func microseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }

    private func receive(_ request: APIRequest) async -> APIResponse {
        if request.target.hasPrefix("/hang") {
            note { $0.hanging += 1 }
            try? await Task.sleep(for: .seconds(7200))
            return APIResponse(text: "")
        }
        let planned = request.headers.first { $0.name.lowercased() == "planned" }.flatMap { Int64($0.value) }
        let late = planned.map { Self.microseconds() - $0 }
        note { state in
            state.count += 1
            state.last = .now
            if state.first == nil { state.first = state.last }
            if let late { state.latency.record(UInt64(max(0, late))) }
        }
        return APIResponse(text: "ok")
    }

    private func note(_ change: (inout State) -> Void) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            change(&state)
            guard let waiter = state.waiter, state.count >= waiter.count, state.hanging >= waiter.hanging else {
                return nil
            }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume()
    }

    /// Throws where nothing has come for `patience` although something is missing.
    func wait(for count: Int, hanging: Int = 0, patience: Duration) async throws {
        let watch = Task {
            var seen = -1
            while true {
                try await Task.sleep(for: patience)
                let now = state.withLock { $0.count + $0.hanging }
                if now == seen {
                    let waiter = state.withLock { state in
                        defer { state.waiter = nil }
                        return state.waiter?.continuation
                    }
                    waiter?.resume()
                    return
                }
                seen = now
            }
        }
        defer { watch.cancel() }
        await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if state.count >= count, state.hanging >= hanging { return true }
                state.waiter = (count, hanging, continuation)
                return false
            }
            if done { continuation.resume() }
        }
        let have = state.withLock { ($0.count, $0.hanging) }
        guard have.0 >= count, have.1 >= hanging else {
            throw CommandFailure(text: "only \(have.0) of \(count) messages came (\(have.1) hang)")
        }
    }

    var arrivals: Histogram<UInt64> { state.withLock { $0.latency } }

    /// From the first to the last arrival.
    var span: Duration {
        state.withLock { state in
            guard let first = state.first, let last = state.last else { return .zero }
            return last - first
        }
    }

    func close() async { await front.shutDown(within: .zero) }
}
