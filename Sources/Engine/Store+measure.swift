/// The figures that only Redis knows.

import CoreMetrics
import Domain
import RedisLink

package struct StoreGauges: Sendable, Equatable {
    package var live: Int64
    package var due: Int64
    /// The earliest time in the due set, which may have come.
    package var oldestDue: Timestamp?
    package var deadLetters: Int64
    package var openLanes: Int64
    package var logBytes: Int64
    /// Ever written, and of those what went before its time because memory was short.
    package var logEvents: Int64
    package var logShed: Int64
    /// Records that could not be read.
    package var aside: Int64
    /// Nodes whose lease has not ended.
    package var nodes: Int64
    /// In their lanes and held by no node.
    package var waiting: [LaneKind: Int64]
    /// By all nodes together.
    package var held: [LaneKind: Int64]

    /// - `page`: a registry of this page alone: what is not known now does not stand on it.
    package func write(to page: PrometheusRegistry, now: Timestamp) {
        func gauge(_ name: String, _ lane: String, _ value: Int64) {
            Meter(label: name, dimensions: [("lane", lane)], factory: page).set(value)
        }
        page.gauge("roost_messages_live", "Messages that have not ended.", Double(live))
        page.declare(
            "roost_messages_waiting", "gauge", "Messages that wait, by where: for their time, or in a lane.")
        gauge("roost_messages_waiting", "due", due)
        for kind in LaneKind.allCases { gauge("roost_messages_waiting", kind.rawValue, waiting[kind] ?? 0) }
        page.declare(
            "roost_messages_in_flight", "gauge", "Messages that nodes hold, by lane kind, of all nodes.")
        for kind in LaneKind.allCases { gauge("roost_messages_in_flight", kind.rawValue, held[kind] ?? 0) }
        page.gauge("roost_dead_letters", "Dead letters kept.", Double(deadLetters))
        page.gauge("roost_open_lanes", "Lanes in the ring.", Double(openLanes))
        page.gauge("roost_log_bytes", "Size of the log.", Double(logBytes))
        page.counter("roost_log_events_total", "Events written to the log.").increment(by: logEvents)
        page.counter("roost_log_shed_events_total", "Events dropped before their time, for want of memory.")
            .increment(by: logShed)
        page.gauge("roost_aside_records", "Records set aside because they could not be read.", Double(aside))
        page.gauge("roost_nodes", "Nodes whose lease has not ended.", Double(nodes))
        let age = oldestDue.map { max(0, now.milliseconds(since: $0)) } ?? 0
        page.gauge(
            "roost_oldest_due_age_seconds", "How long the oldest due message waits to be moved.", Double(age) / 1000)
    }
}

extension Store {
    /// Nil where Redis does not answer at once: a page must not wait for it.
    package func measure() async -> StoreGauges? {
        let kinds = LaneKind.allCases
        guard let reply = try? await scripts.once(Scripts.measure, kinds.map { .text($0.rawValue) }),
            reply.count == 11 + 2 * kinds.count, reply[0].string == "ok"
        else { return nil }
        let numbers = reply.map { $0.int64 ?? 0 }
        var gauges = StoreGauges(
            live: numbers[1], due: numbers[2],
            oldestDue: reply[3].string.flatMap { Int64($0) }.map { Timestamp(milliseconds: $0) },
            deadLetters: numbers[4], openLanes: numbers[5], logBytes: numbers[6], logEvents: numbers[7],
            logShed: numbers[8], aside: numbers[9], nodes: numbers[10], waiting: [:], held: [:])
        for (index, kind) in kinds.enumerated() {
            gauges.waiting[kind] = numbers[11 + 2 * index]
            gauges.held[kind] = numbers[12 + 2 * index]
        }
        return gauges
    }
}
