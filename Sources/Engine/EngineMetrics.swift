/// What one process counts of messages, attempts, schedules and scripts.

import CoreMetrics
import Synchronization

/// Instruments are made once: counting is an atomic addition, timing one short lock for the histogram alone.
package final class EngineMetrics: Sendable {
    package enum Result: String, Sendable, CaseIterable { case delivered, retried, failed, cancelled }

    private enum Name {
        static let published = "roost_messages_published_total"
        static let attempts = "roost_attempts_total"
        static let stale = "roost_stale_results_total"
        static let reclaimed = "roost_reclaimed_messages_total"
        static let lateness = "roost_lateness_seconds"
        static let script = "roost_redis_script_seconds"
    }

    package let registry: PrometheusRegistry
    private let published: [LaneKind: Counter]
    private let attempts: [Result: [LaneKind: Counter]]
    private let cancelRequests, staleResults, reclaimedMessages, aside, fired, missed: Counter
    private let tickLateness, lateness, delivery: Timer
    private let scripts = Mutex<[String: Timer]>([:])

    package init(registry: PrometheusRegistry = PrometheusRegistry()) {
        self.registry = registry
        func byLane(_ name: String, _ labels: [(String, String)] = []) -> [LaneKind: Counter] {
            Dictionary(
                uniqueKeysWithValues: LaneKind.allCases.map {
                    ($0, Counter(label: name, dimensions: labels + [("lane", $0.rawValue)], factory: registry))
                })
        }
        registry.declare(Name.published, "counter", "Messages stored, by lane kind.")
        published = byLane(Name.published)
        registry.declare(Name.attempts, "counter", "Attempts settled, by result and lane kind.")
        attempts = Dictionary(
            uniqueKeysWithValues: Result.allCases.map { ($0, byLane(Name.attempts, [("result", $0.rawValue)])) })
        cancelRequests = registry.counter("roost_cancel_requests_total", "Messages cancelled through the API.")
        staleResults = registry.counter(Name.stale, "Results that came after their message had a new life.")
        reclaimedMessages = registry.counter(Name.reclaimed, "Messages taken over from dead nodes.")
        aside = registry.counter("roost_aside_total", "Results that could never be applied.")
        fired = registry.counter("roost_schedules_fired_total", "Runs of schedules by this process.")
        missed = registry.counter("roost_schedules_missed_total", "Runs that passed while no process looked.")
        tickLateness = registry.timer("roost_tick_lateness_seconds", "A run after its cron time.")
        lateness = registry.timer(Name.lateness, "Start of an attempt after its due time.")
        delivery = registry.timer("roost_delivery_seconds", "Time of one HTTP attempt.")
        registry.declare(Name.script, "histogram", "Round trip of one script, by script.")
    }

    package func published(_ lane: LaneKind, _ count: Int = 1) { published[lane]?.increment(by: count) }

    package func settled(_ result: Result, _ lane: LaneKind) { attempts[result]?[lane]?.increment() }

    func fired(missed runs: Int, late seconds: Double) {
        fired.increment()
        missed.increment(by: runs)
        tickLateness.recordNanoseconds(Self.nanoseconds(seconds))
    }

    func cancelled(_ count: Int) { cancelRequests.increment(by: count) }
    func stale() { staleResults.increment() }
    func reclaimed(_ count: Int) { reclaimedMessages.increment(by: count) }
    func setAside() { aside.increment() }

    /// - Parameter seconds: after the due time.
    package func started(late seconds: Double) { lateness.recordNanoseconds(Self.nanoseconds(seconds)) }
    func delivered(in seconds: Double) { delivery.recordNanoseconds(Self.nanoseconds(seconds)) }

    func scriptTook(_ name: String, _ time: Duration) {
        let timer = scripts.withLock { scripts in
            if let timer = scripts[name] { return timer }
            let timer = Timer(label: Name.script, dimensions: [("script", name)], factory: registry)
            scripts[name] = timer
            return timer
        }
        timer.recordNanoseconds(Self.nanoseconds(time.inSeconds))
    }

    private static func nanoseconds(_ seconds: Double) -> Int64 {
        seconds.isFinite ? Int64(min(max(seconds, 0), 1e9) * 1e9) : 0
    }

    /// Totals since the start: what tests and the end of `roost bench` look at.
    package func total(_ result: Result) -> Int { Int(settledTotal(result)) }

    private func settledTotal(_ result: Result) -> Int64 {
        registry.total(Name.attempts, ("result", result.rawValue))
    }

    /// Totals since the start, by the names that `stats:<minute>` has for them; lateness in ms.
    package var progress: [Tally: Int64] {
        let late = registry.histogram(Name.lateness)
        return [
            .published: registry.total(Name.published), .delivered: settledTotal(.delivered),
            .retried: settledTotal(.retried), .failed: settledTotal(.failed), .started: Int64(late.count),
            .lateness: Int64(min(late.sum * 1000, 9e15)),
        ]
    }

    package var staleTotal: Int { Int(registry.total(Name.stale)) }
    package var reclaimedTotal: Int { Int(registry.total(Name.reclaimed)) }
}
