/// Times for people: local, and how far from now; and times as people write them.

import Domain
import Foundation

struct TimeText {
    let now: Timestamp
    let zone: TimeZone

    init(now: Timestamp = .clock, zone: TimeZone = .current) { (self.now, self.zone) = (now, zone) }

    /// `2026-11-25 04:03:07`
    func local(_ time: Timestamp) -> String {
        String(time.iso8601(offset: offset(at: time.seconds)).dropLast(6)).replacingOccurrences(of: "T", with: " ")
    }

    /// With milliseconds, for logs.
    func precise(_ time: Timestamp) -> String {
        let part = String(time.milliseconds - Saturating.multiply(time.seconds, 1000))
        return local(time) + "." + String(repeating: "0", count: 3 - part.count) + part
    }

    /// For a column of a log: what a narrow terminal has no room for is left out, the date of today first.
    func stamp(_ time: Timestamp, width: Int?) -> String {
        guard let width, width < 120 else { return precise(time) }
        let text = precise(time)
        return text.prefix(10) == local(now).prefix(10) ? String(text.dropFirst(11)) : String(text.dropLast(4))
    }

    /// `2026-11-25 04:03:07 (2h ago)`
    func full(_ time: Timestamp) -> String { "\(local(time)) (\(relative(time)))" }

    /// `now`, `2h ago`, `in 5m`: the largest unit alone.
    func relative(_ time: Timestamp) -> String {
        let distance = time.milliseconds(since: now)
        let amount = Self.length(Int64(clamping: distance.magnitude))
        if amount == "0s" { return "now" }
        return distance > 0 ? "in " + amount : amount + " ago"
    }

    private static func length(_ milliseconds: Int64) -> String {
        for (unit, size) in [("d", Int64(86_400_000)), ("h", 3_600_000), ("m", 60_000)] where milliseconds >= size {
            return "\(milliseconds / size)\(unit)"
        }
        return "\(milliseconds / 1000)s"
    }

    private func offset(at seconds: Int64) -> Int64 {
        // Beyond some ten thousand years the database of zones has nothing to say.
        guard seconds.magnitude < 1 << 40 else { return 0 }
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
    }

    /// What `parse` reads, for errors and help.
    static let forms = "2027-03-27T08:00:00Z, '2027-03-27 08:00' (local time) or Unix seconds"
    static let formsOrAgo = forms + ", or 90m (ago)"

    /// nil for anything but one of `forms`, or a duration before now where `ago`.
    func parse(_ text: String, ago: Bool = false) -> Timestamp? {
        let text = ASCII.trimmed(text)
        if text.utf8.allSatisfy(ASCII.isDigit), let number = Int64(text) {
            // Ten digits are seconds until the year 2286, thirteen milliseconds.
            switch text.utf8.count {
            case 9...11: return Timestamp(seconds: number)
            case 12...14: return Timestamp(milliseconds: number)
            default: return nil
            }
        }
        if ago, let seconds = DurationText.parse(text) { return now.adding(seconds: Saturating.subtract(0, seconds)) }
        return date(text)
    }

    private func date(_ text: String) -> Timestamp? {
        let pattern = /(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?/
        guard let match = text.wholeMatch(of: pattern)?.output else { return nil }
        func number(_ part: Substring?) -> Int { part.flatMap { Int($0) } ?? 0 }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        if let suffix = match.7 {
            let digits = suffix.split(whereSeparator: { "+-:Z".contains($0) }).map { Int($0) ?? 0 }
            let east = digits.count == 2 ? (digits[0] * 60 + digits[1]) * 60 : 0
            guard let fixed = TimeZone(secondsFromGMT: suffix.hasPrefix("-") ? -east : east) else { return nil }
            calendar.timeZone = fixed
        }
        let parts = DateComponents(
            year: number(match.1), month: number(match.2), day: number(match.3), hour: number(match.4),
            minute: number(match.5), second: number(match.6))
        guard (1...12).contains(number(match.2)), (1...31).contains(number(match.3)), number(match.4) < 24,
            number(match.5) < 60, number(match.6) < 60, let date = calendar.date(from: parts)
        else { return nil }
        return Timestamp(seconds: Int64(date.timeIntervalSince1970))
    }
}

extension Timestamp {
    /// What the clock of this machine says.
    static var clock: Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) }
}
