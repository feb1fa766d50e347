/// Counters and histograms of one process, rendered as Prometheus text.

import Synchronization

package final class EngineMetrics: Sendable {
    package enum Result: String, Sendable, CaseIterable { case delivered, retried, failed, cancelled }

    private struct Key: Hashable { var result: Result, lane: LaneKind }

    private struct State {
        var published: [LaneKind: Int] = [:]
        var settled: [Key: Int] = [:]
        var cancelRequests = 0
        var stale = 0
        var reclaimed = 0
        var aside = 0
        var ticksFired = 0
        var ticksMissed = 0
        var tickLateness = Histogram()
        var lateness = Histogram()
        var delivery = Histogram()
        var scripts: [String: Histogram] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package func published(_ lane: LaneKind, _ count: Int = 1) {
        state.withLock { $0.published[lane, default: 0] += count }
    }

    func settled(_ result: Result, _ lane: LaneKind) {
        state.withLock { $0.settled[Key(result: result, lane: lane), default: 0] += 1 }
    }

    func fired(missed: Int, late seconds: Double) {
        state.withLock { state in
            state.ticksFired += 1
            state.ticksMissed += missed
            state.tickLateness.record(seconds)
        }
    }

    func cancelled(_ count: Int) { state.withLock { $0.cancelRequests += count } }
    func stale() { state.withLock { $0.stale += 1 } }
    func reclaimed(_ count: Int) { state.withLock { $0.reclaimed += count } }
    func setAside() { state.withLock { $0.aside += 1 } }
    func started(late seconds: Double) { state.withLock { $0.lateness.record(seconds) } }
    func delivered(in seconds: Double) { state.withLock { $0.delivery.record(seconds) } }

    func scriptTook(_ name: String, _ time: Duration) {
        state.withLock { $0.scripts[name, default: Histogram()].record(time.inSeconds) }
    }

    /// Totals since the start: what tests and the end of `roost bench` look at.
    package func total(_ result: Result) -> Int {
        state.withLock { state in
            LaneKind.allCases.reduce(0) { $0 + (state.settled[Key(result: result, lane: $1)] ?? 0) }
        }
    }

    /// Totals since the start, by the names that `stats:<minute>` has for them; lateness in ms.
    package var progress: [Tally: Int64] {
        state.withLock { state in
            func settled(_ result: Result) -> Int64 {
                Int64(LaneKind.allCases.reduce(0) { $0 + (state.settled[Key(result: result, lane: $1)] ?? 0) })
            }
            return [
                .published: Int64(state.published.values.reduce(0, +)), .delivered: settled(.delivered),
                .retried: settled(.retried), .failed: settled(.failed), .started: Int64(state.lateness.count),
                .lateness: Int64(state.lateness.sum * 1000),
            ]
        }
    }

    package var staleTotal: Int { state.withLock { $0.stale } }
    package var reclaimedTotal: Int { state.withLock { $0.reclaimed } }

    /// Prometheus text exposition of everything counted here.
    package func render() -> String {
        let state = state.withLock { $0 }
        var page = PrometheusPage()
        page.family("roost_messages_published_total", "counter", "Messages stored, by lane kind.")
        for lane in LaneKind.allCases {
            page.sample("roost_messages_published_total", [("lane", lane.rawValue)], Double(state.published[lane] ?? 0))
        }
        page.family("roost_attempts_total", "counter", "Attempts settled, by result and lane kind.")
        for result in Result.allCases {
            for lane in LaneKind.allCases {
                page.sample(
                    "roost_attempts_total", [("result", result.rawValue), ("lane", lane.rawValue)],
                    Double(state.settled[Key(result: result, lane: lane)] ?? 0))
            }
        }
        page.counter("roost_cancel_requests_total", "Messages cancelled through the API.", state.cancelRequests)
        page.counter("roost_stale_results_total", "Results that came after their message had a new life.", state.stale)
        page.counter("roost_reclaimed_messages_total", "Messages taken over from dead nodes.", state.reclaimed)
        page.counter("roost_aside_total", "Results that could never be applied.", state.aside)
        page.counter("roost_schedules_fired_total", "Runs of schedules by this process.", state.ticksFired)
        page.counter("roost_schedules_missed_total", "Runs that passed while no process looked.", state.ticksMissed)
        page.histogram("roost_tick_lateness_seconds", "A run after its cron time.", [], state.tickLateness)
        page.histogram("roost_lateness_seconds", "Start of an attempt after its due time.", [], state.lateness)
        page.histogram("roost_delivery_seconds", "Time of one HTTP attempt.", [], state.delivery)
        page.family("roost_redis_script_seconds", "histogram", "Round trip of one script, by script.")
        for (name, histogram) in state.scripts.sorted(by: { $0.key < $1.key }) {
            page.buckets("roost_redis_script_seconds", [("script", name)], histogram)
        }
        return page.text
    }
}

/// Counts in fixed buckets, in seconds; the bounds suit everything from a Redis call to a slow endpoint.
package struct Histogram: Sendable {
    package static let bounds: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600,
    ]

    package private(set) var counts = [Int](repeating: 0, count: Histogram.bounds.count + 1)
    package private(set) var sum = 0.0
    package private(set) var count = 0

    package init() {}

    package mutating func record(_ seconds: Double) {
        let value = seconds.isFinite ? max(0, seconds) : 0
        counts[Self.bounds.firstIndex { value <= $0 } ?? Self.bounds.count] += 1
        sum += value
        count += 1
    }
}

/// Writes the Prometheus text format, version 0.0.4.
package struct PrometheusPage {
    package private(set) var text = ""

    package init() {}

    package mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    package mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
        text += name + render(labels) + " " + number(value) + "\n"
    }

    package mutating func counter(_ name: String, _ help: String, _ value: Int) {
        family(name, "counter", help)
        sample(name, [], Double(value))
    }

    package mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        family(name, "gauge", help)
        sample(name, [], value)
    }

    package mutating func histogram(_ name: String, _ help: String, _ labels: [(String, String)], _ h: Histogram) {
        family(name, "histogram", help)
        buckets(name, labels, h)
    }

    package mutating func buckets(_ name: String, _ labels: [(String, String)], _ histogram: Histogram) {
        var total = 0
        for (bound, count) in zip(Histogram.bounds, histogram.counts) {
            total += count
            sample(name + "_bucket", labels + [("le", number(bound))], Double(total))
        }
        sample(name + "_bucket", labels + [("le", "+Inf")], Double(histogram.count))
        sample(name + "_sum", labels, histogram.sum)
        sample(name + "_count", labels, Double(histogram.count))
    }

    private func render(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: ",") + "}"
    }

    private func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}
