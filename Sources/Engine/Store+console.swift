/// What only the console asks for: plots over the last hour, and why a message waits.

import Domain
import RedisLink

/// What is counted for each minute, by its field in `stats:<minute>`. Lateness is the sum over the attempts that started, in ms.
package enum Tally: String, Sendable, CaseIterable {
    case published, delivered, retried, failed, started, lateness
}

/// What all processes did in one minute.
package struct MinuteStats: Sendable {
    /// Unix time in minutes.
    package var minute: Int64
    package var counts: [Tally: Int64]
}

/// Why a message waits, as `lua/why.lua` finds it.
package struct WaitReason: Sendable, Equatable {
    package var reason: String
    package var subject: String
    package var number: Int64
    package var retried: Int64
    package var error: String

    /// One sentence for people; nil where there is no such live message.
    package var sentence: String? {
        let then = Timestamp(milliseconds: number).iso8601
        return switch reason {
        case "active": subject.isEmpty ? "In flight." : "In flight: node \(subject) is sending it."
        case "ended": "Delivered."
        case "time": retried > 0 ? "Waits for its retry until \(then)." : "Waits for its time until \(then)."
        case "paused": "Waits: \(lane) is paused."
        case "slot": "Waits: all \(number) slots of \(lane) are held."
        case "behind": "Waits behind \(subject), which holds the only slot of its queue."
        case "head": "Waits behind \(subject) at the head of its queue, which waits until \(then)."
        case "rate": "Waits: \(lane) has used up its rate until \(then)."
        case "nobody": "Waits: no node that delivers is running."
        case "share":
            "Waits: \(number) of \(lane) are in flight, which is as many as the nodes give to one lane (ROOST_LANE_SHARE)."
        case "order": "Waits behind \(number >= 1000 ? "1000 or more" : String(number)) in \(lane)."
        case "turn": "Waits for its turn in \(lane): a node takes it as soon as its share allows."
        default: nil
        }
    }

    private var lane: String {
        let name = subject.drop { $0 != ":" }.dropFirst()
        if subject.hasPrefix("queue:") { return "queue \(name)" }
        return subject.hasPrefix("flow:") ? "flow key \(name)" : "lane \(subject)"
    }
}

extension Store {
    /// Adds what this process did since the totals given; answers the new ones, or the old ones where Redis did not take them.
    package func record(progressSince before: [Tally: Int64]) async -> [Tally: Int64] {
        let now = metrics.progress
        let changes = Tally.allCases.compactMap { field -> [RedisPart]? in
            let more = (now[field] ?? 0) - (before[field] ?? 0)
            return more > 0 ? [.text(field.rawValue), .integer(more)] : nil
        }
        guard !changes.isEmpty else { return now }
        guard let reply = try? await scripts.once(Scripts.statsAdd, changes.flatMap { $0 }), reply.first?.string == "ok"
        else { return before }
        return now
    }

    /// The last minutes, the oldest first.
    package func stats(minutes: Int = 60) async throws(StoreError) -> [MinuteStats] {
        let reply = try await scripts.untilAnswered(
            Scripts.statsRead,
            [.integer(Int64(minutes))] + Tally.allCases.map { .text($0.rawValue) },
            deadline: .now + settings.storeTimeout)
        return reply.dropFirst().compactMap { value in
            guard let row = value.array, row.count == Tally.allCases.count + 1, let minute = row[0].int64 else {
                return nil
            }
            let counts = zip(Tally.allCases, row.dropFirst()).map { ($0, $1.int64 ?? 0) }
            return MinuteStats(minute: minute, counts: Dictionary(uniqueKeysWithValues: counts))
        }
    }

    /// What waits in each lane, in the order asked for, and when the one whose turn is next was due.
    package func waiting(in lanes: [String]) async throws(StoreError) -> [(count: Int64, due: Timestamp?)] {
        var found: [(count: Int64, due: Timestamp?)] = []
        var rest = lanes[...]
        while !rest.isEmpty {
            let reply = try await scripts.untilAnswered(
                Scripts.lanes, rest.prefix(100).map { .text($0) }, deadline: .now + settings.storeTimeout)
            for value in reply.dropFirst() {
                let row = value.array ?? []
                let due = row.last?.string.flatMap { Int64($0) }
                found.append((row.first?.int64 ?? 0, due.map { Timestamp(milliseconds: $0) }))
            }
            rest = rest.dropFirst(100)
        }
        return found
    }

    /// - `maxInFlight`: of a node, as all of them are taken to be configured.
    /// - `laneShare`: the same.
    package func whyWaiting(
        _ id: String, maxInFlight: Int, laneShare: Double
    ) async throws(StoreError) -> WaitReason {
        let reply = try await scripts.untilAnswered(
            Scripts.why, [.text(id), .integer(Int64(maxInFlight)), .text(String(laneShare))],
            deadline: .now + settings.storeTimeout)
        guard reply.count == 6 else { throw .broken("why answered \(reply.count) values") }
        return WaitReason(
            reason: reply[1].string ?? "", subject: reply[2].string ?? "", number: reply[3].int64 ?? 0,
            retried: reply[4].int64 ?? 0, error: reply[5].string ?? "")
    }
}
