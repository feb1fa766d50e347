// Cron expressions, held against a reading of their fields that is as plain as possible.

import Domain
import Foundation

extension FuzzTarget {
    static func cron(_ bytes: [UInt8]) throws {
        let cron: CronExpression
        do throws(CronExpression.Fault) {
            cron = try CronExpression(text(bytes), now: now)
        } catch {
            return try hold(!error.text.isEmpty, "refused without a reason")
        }
        try hold(try CronExpression(cron.text, now: now) == cron, "its own text reads as another")
        let zones = "/usr/share/zoneinfo/"
        if FileManager.default.fileExists(atPath: zones + "UTC") {
            let path = zones + cron.zone.name
            try hold(FileManager.default.fileExists(atPath: path), "no zone of the database: \(cron.zone.name)")
            try hold(!cron.zone.name.contains("."), "a path instead of a zone: \(cron.zone.name)")
        }
        let slow = try SlowCron(cron.text)
        // New year; the hours before clocks change in New York and Berlin; far from now; and some second of the years
        // around now, another one for each input.
        let odd = bytes.reduce(Int64(0)) { ($0 * 131 + Int64($1)) % 1_000_000_007 }
        for start: Int64 in [1_735_689_600, 1_741_500_000, 1_761_436_800, 4_102_444_800, 1_300_000_000 + odd] {
            guard let run = cron.run(after: Timestamp(seconds: start)) else { continue }
            let time = run.time.seconds
            try hold(run.time.milliseconds == time * 1000, "a run between two seconds")
            try hold(time > start, "\(run.time.iso8601) is not later than \(start)")
            let local = time + cron.zone.offset(at: time)
            if !run.isShifted { try hold(slow.matches(local), "\(run.time.iso8601) matches no field") }
            try hold(run.merges >= 0 && (run.merges == 0 || run.isShifted), "\(run.merges) runs merged into one")
            guard cron.zone == .utc else { continue }
            try hold(time % 60 == 0, "not a whole minute")
            for minute in stride(from: start - start % 60 + 60, to: min(time, start + 36_000), by: 60) {
                try hold(!slow.matches(minute), "\(Timestamp(seconds: minute).iso8601) is left out")
            }
        }
        _ = cron.run(after: Timestamp(milliseconds: .max))
        _ = cron.run(after: Timestamp(milliseconds: .min))
    }
}

/// The fields of an expression that was accepted, as sets.
private struct SlowCron {
    private let fields: [Set<Int>]
    private let eitherDay: Bool

    init(_ text: String) throws {
        var words = text.split { $0 == " " || $0 == "\t" }.map { $0.lowercased() }
        if words.first?.contains("tz=") == true { words.removeFirst() }
        switch words.first {
        case "@yearly", "@annually": words = ["0", "0", "1", "1", "*"]
        case "@monthly": words = ["0", "0", "1", "*", "*"]
        case "@weekly": words = ["0", "0", "*", "*", "0"]
        case "@daily", "@midnight": words = ["0", "0", "*", "*", "*"]
        case "@hourly": words = ["0", "*", "*", "*", "*"]
        default: break
        }
        let ranges = [0...59, 0...23, 1...31, 1...12, 0...6]
        guard words.count == ranges.count else {
            throw FuzzTarget.Finding(description: "accepted with \(words.count) fields")
        }
        fields = zip(words, ranges).map { word, range in Self.values(of: word, range) }
        let isOpen = { (word: String) in word == "*" || word == "?" }
        eitherDay = !isOpen(words[2]) && !isOpen(words[4])
    }

    private static func values(of word: String, _ range: ClosedRange<Int>) -> Set<Int> {
        let names =
            range == 1...12
            ? ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            : range == 0...6 ? ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] : []
        var values: Set<Int> = []
        for part in word.split(separator: ",") {
            let halves = part.split(separator: "/")
            let ends = halves[0].split(separator: "-").map { names.firstIndex(of: String($0)) ?? Int($0) }
            let isOpen = halves[0] == "*" || halves[0] == "?"
            let low = isOpen ? range.lowerBound : ends.first.flatMap { $0 } ?? Int.max
            let high = isOpen || (ends.count == 1 && halves.count == 2) ? range.upperBound : ends.last.flatMap { $0 }
            // A step that fits nowhere leaves the first value.
            let step = halves.count == 2 ? Int(halves[1]) ?? Int.max : 1
            for value in range where value >= low && value <= high ?? -1 && (value - low).isMultiple(of: step) {
                values.insert(value)
            }
        }
        return values
    }

    /// - Parameter local: seconds since 1970 of the zone's own clocks.
    func matches(_ local: Int64) -> Bool {
        var seconds = time_t(local)
        var date = tm()
        gmtime_r(&seconds, &date)
        let values = [date.tm_min, date.tm_hour, date.tm_mday, date.tm_mon + 1, date.tm_wday].map(Int.init)
        let found = zip(fields, values).map { $0.contains($1) }
        return found[0] && found[1] && found[3] && (eitherDay ? found[2] || found[4] : found[2] && found[4])
    }
}
