/// The figures that only Redis knows.

import Domain
import RedisLink

package struct StoreGauges: Sendable, Equatable {
    package var live: Int64
    package var due: Int64
    /// The earliest time in the due set, which may have come.
    package var oldestDue: Timestamp?
    package var deadLetters: Int64
    package var openLanes: Int64
    package var waiting: [LaneKind: Int64]

    package func write(to page: inout PrometheusPage, now: Timestamp) {
        page.gauge("roost_messages_live", "Messages that have not ended.", Double(live))
        page.family("roost_messages_waiting", "gauge", "Messages that wait, by where: for their time, or in a lane.")
        page.sample("roost_messages_waiting", [("lane", "due")], Double(due))
        for kind in LaneKind.allCases {
            page.sample("roost_messages_waiting", [("lane", kind.rawValue)], Double(waiting[kind] ?? 0))
        }
        page.gauge("roost_dead_letters", "Dead letters kept.", Double(deadLetters))
        page.gauge("roost_open_lanes", "Lanes in the ring.", Double(openLanes))
        let age = oldestDue.map { max(0, now.milliseconds(since: $0)) } ?? 0
        page.gauge(
            "roost_oldest_due_age_seconds", "How long the oldest due message waits to be moved.", Double(age) / 1000)
    }
}

extension Store {
    /// How many lanes are added up: what waits in more is not counted, so that a page never costs Redis long.
    static let measuredLanes: Int64 = 1000

    /// Nil where Redis does not answer at once: a page must not wait for it.
    package func measure() async -> StoreGauges? {
        guard let reply = try? await scripts.once(Scripts.measure, [.integer(Self.measuredLanes)]),
            reply.count == 10, reply[0].string == "ok"
        else { return nil }
        let numbers = reply.map { $0.int64 ?? 0 }
        return StoreGauges(
            live: numbers[1], due: numbers[2],
            oldestDue: reply[3].string.flatMap { Int64($0) }.map { Timestamp(milliseconds: $0) },
            deadLetters: numbers[4], openLanes: numbers[5],
            waiting: [.host: numbers[6], .topic: numbers[7], .queue: numbers[8], .flow: numbers[9]])
    }
}
