/// What stands behind the instruments of swift-metrics: one value each, changed without a lock that others share.

import CoreMetrics
import Synchronization

/// One series of a page.
protocol MetricCell: AnyObject, Sendable {
    func write(_ name: String, _ labels: [(String, String)], to page: inout PrometheusPage)
}

final class CounterCell: CounterHandler, MetricCell {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { count.store(0, ordering: .relaxed) }

    func write(_ name: String, _ labels: [(String, String)], to page: inout PrometheusPage) {
        page.sample(name, labels, Double(value))
    }
}

/// A gauge, or a counter that is no whole number.
final class ValueCell: MeterHandler, FloatingPointCounterHandler, RecorderHandler, MetricCell {
    private let number = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { number.withLock { $0 = value } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
    func increment(by amount: Double) { number.withLock { $0 += amount } }
    func decrement(by amount: Double) { number.withLock { $0 -= amount } }
    func reset() { set(0.0) }

    func write(_ name: String, _ labels: [(String, String)], to page: inout PrometheusPage) {
        page.sample(name, labels, number.withLock { $0 })
    }
}

/// Timers count seconds, recorders the numbers they are given.
final class HistogramCell: TimerHandler, RecorderHandler, MetricCell {
    private let histogram = Mutex(Histogram())

    var value: Histogram { histogram.withLock { $0 } }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) { histogram.withLock { $0.record(value) } }

    func write(_ name: String, _ labels: [(String, String)], to page: inout PrometheusPage) {
        page.buckets(name, labels, value)
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
