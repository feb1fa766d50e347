// A time zone of the IANA database and the two questions a schedule asks it.

import Foundation

package struct ScheduleZone: Sendable, Hashable {
    package let name: String
    private let zone: TimeZone

    package static let utc = ScheduleZone(name: "UTC", zone: .gmt)

    /// nil for a name the IANA database does not know. Names are case-sensitive there, and abbreviations such as `PST`
    /// or `GMT+3`, which Foundation would take, are none of them.
    package init?(_ name: String) {
        guard name.contains("/") || Self.plainNames.contains(name), let zone = TimeZone(identifier: name) else {
            return nil
        }
        self.init(name: name, zone: zone)
    }

    private init(name: String, zone: TimeZone) {
        self.name = name
        self.zone = zone
    }

    /// Names without a slash that stand in the database.
    private static let plainNames: Set<String> = [
        "UTC", "GMT", "UCT", "Zulu", "Universal", "Greenwich", "GMT0", "EST", "MST", "HST", "EST5EDT", "CST6CDT",
        "MST7MDT", "PST8PDT", "CET", "MET", "EET", "WET", "Cuba", "Egypt", "Eire", "GB", "GB-Eire", "Hongkong",
        "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein", "Libya", "NZ", "NZ-CHAT", "Navajo", "PRC",
        "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "W-SU",
    ]

    /// Seconds east of UTC at an instant, both in seconds.
    package func offset(at instant: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
    }

    /// The first instant in `(low, high]` with another offset than at `low`. The caller keeps the interval short enough
    /// to hold one change at most: zones change their clocks days apart.
    package func change(after low: Int64, upTo high: Int64) -> Int64 {
        let before = offset(at: low)
        var (low, high) = (low, high)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(at: middle) == before { low = middle } else { high = middle }
        }
        return high
    }

    /// How a local time of the calendar lies in real time.
    package enum Instant: Sendable, Hashable {
        case once(Int64)
        /// Clocks went back over it: the first time it came.
        case twice(first: Int64)
        /// Clocks went forward over it: the first instant after the gap.
        case skipped(gapEnd: Int64)

        package var seconds: Int64 {
            switch self {
            case .once(let seconds), .twice(let seconds), .skipped(let seconds): seconds
            }
        }
    }

    /// - Parameter local: seconds since 1970-01-01 00:00 of the zone's own clocks.
    package func instant(ofLocal local: Int64) -> Instant {
        let before = offset(at: local - 86_400 - offset(at: local))
        let after = offset(at: local + 86_400 - offset(at: local))
        let early = local - before
        if before == after, offset(at: early) == before { return .once(early) }
        let isEarly = offset(at: early) == before
        let isLate = offset(at: local - after) == after
        switch (isEarly, isLate) {
        case (true, true): return before == after ? .once(early) : .twice(first: min(early, local - after))
        case (true, false): return .once(early)
        case (false, true): return .once(local - after)
        case (false, false): return .skipped(gapEnd: change(after: local - after, upTo: early))
        }
    }
}
