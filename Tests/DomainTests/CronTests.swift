import Domain
import Foundation
import TestSupport
import Testing

@Suite struct CronTests {
    struct Case: Decodable {
        let `in`: String
        let after: String?
        let nextMs: [Int64]?
        let error: Bool?
    }

    @Test func contractCases() throws {
        let cases = try Contract.cases("cron", as: Case.self)
        #expect(cases.count == 41)
        let format = ISO8601DateFormatter()
        for one in cases {
            guard let expected = one.nextMs, let after = one.after.flatMap(format.date) else {
                #expect(throws: CronExpression.Fault.self, "\(one.in)") {
                    try CronExpression(one.in, now: Timestamp(seconds: 1_735_689_600))
                }
                continue
            }
            var time = Timestamp(seconds: Int64(after.timeIntervalSince1970))
            let cron = try CronExpression(one.in, now: time)
            for next in expected {
                time = try #require(cron.next(after: time))
                #expect(time.milliseconds == next, "\(one.in): \(time.iso8601)")
            }
        }
    }

    /// The rules of the contract by brute force: every minute of the zone's clocks, asked one by one.
    static func runs(_ fields: [Set<Int>], interval: Bool, restricted: Bool, zone: TimeZone, from: Int64, to: Int64)
        -> [Int64]
    {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        func matches(_ local: Int64) -> Bool {
            let day = local >= 0 ? local / 86_400 : (local - 86_399) / 86_400
            let minute = Int((local - day * 86_400) / 60)
            var utc = Calendar(identifier: .gregorian)
            utc.timeZone = .gmt
            guard fields[0].contains(minute % 60), fields[1].contains(minute / 60) else { return false }
            let date = utc.dateComponents(
                [.day, .month, .weekday], from: Date(timeIntervalSince1970: Double(day * 86_400)))
            guard fields[3].contains(date.month ?? 0) else { return false }
            let byDate = fields[2].contains(date.day ?? 0)
            let byWeekday = fields[4].contains((date.weekday ?? 0) - 1)
            return restricted ? byDate || byWeekday : byDate && byWeekday
        }
        func offset(_ instant: Int64) -> Int64 {
            Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
        }
        var found: Set<Int64> = []
        var latestLocal = Int64.min
        var last = offset(from)
        for instant in stride(from: from, to: to, by: 60) {
            let offset = offset(instant)
            let local = instant + offset
            if interval {
                if matches(local) { found.insert(instant) }
            } else {
                // Clocks went forward: what was skipped runs now.
                if offset > last {
                    for skipped in stride(from: local - (offset - last), to: local, by: 60) where matches(skipped) {
                        found.insert(instant)
                    }
                }
                // Clocks went back: what has come before does not come again.
                if local > latestLocal, matches(local) { found.insert(instant) }
                latestLocal = max(latestLocal, local)
            }
            last = offset
        }
        return found.sorted()
    }

    @Test(arguments: [
        "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns",
        "Africa/Casablanca",
        "Pacific/Apia", "Asia/Tehran", "America/Santiago", "Pacific/Chatham", "Europe/Dublin", "Antarctica/Troll",
    ])
    func nextRunsAreThoseOfASlowScan(_ name: String) throws {
        let zone = try #require(TimeZone(identifier: name))
        var generator = SeededGenerator(seed: 42)
        for year in [2021, 2025, 2026] {
            // The weeks in which clocks change in either hemisphere, and one in which they do not.
            for (month, days) in [(3, 40), (9, 65), (7, 3)] {
                let from = Int64(
                    DateComponents(
                        calendar: Calendar(identifier: .gregorian), timeZone: .gmt, year: year, month: month, day: 1
                    ).date?.timeIntervalSince1970 ?? 0)
                let to = from + Int64(days) * 86_400
                let minutes = Set((0..<2).map { _ in Int.random(in: 0..<60, using: &generator) } + [30])
                let hours = Set([Int.random(in: 0..<24, using: &generator), 1, 2])
                for isInterval in [true, false] {
                    let text =
                        "CRON_TZ=\(name) \(minutes.sorted().map(String.init).joined(separator: ",")) \(isInterval ? "*" : hours.sorted().map(String.init).joined(separator: ",")) * * *"
                    let cron = try CronExpression(text, now: Timestamp(seconds: from))
                    let slow = Self.runs(
                        [minutes, isInterval ? Set(0..<24) : hours, Set(1...31), Set(1...12), Set(0...6)],
                        interval: isInterval,
                        restricted: false, zone: zone, from: from, to: to)
                    var fast: [Int64] = []
                    var time = Timestamp(seconds: from - 1)
                    while let next = cron.next(after: time), next.seconds < to {
                        fast.append(next.seconds)
                        time = next
                    }
                    #expect(fast == slow, "\(text) from \(Timestamp(seconds: from).iso8601)")
                }
            }
        }
    }

    @Test func timesBeyondTheCalendarDoNotTrap() throws {
        let cron = try CronExpression("* * * * *", now: Timestamp(milliseconds: 0))
        _ = cron.next(after: Timestamp(milliseconds: .max))
        _ = cron.next(after: Timestamp(milliseconds: .min))
    }

    @Test func zonesAreNamedAsInTheDatabase() {
        #expect(ScheduleZone("US/Eastern") != nil && ScheduleZone("UTC") != nil && ScheduleZone("Etc/GMT+3") != nil)
        for name in ["PST", "GMT+3", "europe/berlin", "Mars/Olympus", "", "../etc/passwd"] {
            #expect(ScheduleZone(name) == nil, "\(name)")
        }
    }
}
