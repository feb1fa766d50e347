// The next run, across changes of the clocks (contract schedules.md §4).

extension CronExpression {
    /// One run.
    package struct Run: Sendable, Hashable {
        package var time: Timestamp
        /// Its local time was skipped: it runs at the end of the gap.
        package var isShifted = false
        /// Its local time comes twice, and this is the first.
        package var isFirstOfTwo = false
        /// Further local times that fall on the same instant.
        package var merges = 0
    }

    /// Seconds: five years and the leap days in them.
    private static let horizon: Int64 = (5 * 365 + 2) * 86_400

    /// The first run strictly after `reference`; nil where none comes within five years.
    package func next(after reference: Timestamp) -> Timestamp? { run(after: reference)?.time }

    package func run(after reference: Timestamp) -> Run? {
        // Times beyond the calendar of any zone: nothing runs there, and nothing may overflow.
        let start = min(max(reference.seconds, -8_000_000_000), 32_000_000_000)
        switch kind {
        case .interval: return interval(after: start)
        case .clock: return clock(after: start)
        }
    }

    /// Matching minutes of the zone's clocks, in real time: between two changes of the clocks local time is real time
    /// plus a constant.
    private func interval(after start: Int64) -> Run? {
        let end = start + Self.horizon
        var instant = (start / 60 + (start % 60 < 0 ? 0 : 1)) * 60
        while instant <= end {
            let offset = zone.offset(at: instant)
            // A day is looked at, at most, before the offset is asked for again.
            let edge = instant + 86_400
            guard let local = nextLocal(from: instant + offset, before: edge + offset) else {
                let change = zone.offset(at: edge) == offset ? edge : zone.change(after: instant, upTo: edge)
                instant = (change + 59) / 60 * 60
                continue
            }
            let found = local - offset
            if zone.offset(at: found) == offset { return Run(time: Timestamp(seconds: found)) }
            instant = (zone.change(after: instant, upTo: found) + 59) / 60 * 60
        }
        return nil
    }

    /// Local times in their order, each mapped to its instant; the order of the instants is the same, but for several
    /// that fall together behind a gap.
    private func clock(after start: Int64) -> Run? {
        var local = start + zone.offset(at: start) - 86_400
        local = (local / 60 - 1) * 60
        let end = local + Self.horizon + 2 * 86_400
        while let candidate = nextLocal(from: local, before: end) {
            let instant = zone.instant(ofLocal: candidate)
            if instant.seconds > start {
                var run = Run(time: Timestamp(seconds: instant.seconds))
                switch instant {
                case .once: break
                case .twice: run.isFirstOfTwo = true
                case .skipped:
                    run.isShifted = true
                    run.merges = merges(at: instant.seconds, after: candidate)
                }
                return run
            }
            local = candidate + 60
        }
        return nil
    }

    private func merges(at instant: Int64, after local: Int64) -> Int {
        var count = 0
        var local = local
        while let candidate = nextLocal(from: local + 60, before: local + 86_400),
            zone.instant(ofLocal: candidate).seconds == instant
        {
            count += 1
            local = candidate
        }
        return count
    }

    /// The first matching minute of the calendar from `start` on, without regard to any zone, in seconds.
    private func nextLocal(from start: Int64, before end: Int64) -> Int64? {
        var day = start >= 0 ? start / 86_400 : (start - 86_399) / 86_400
        var firstMinute = (start - day * 86_400 + 59) / 60
        var date = CivilDate(day: day)
        while day * 86_400 < end {
            if !month.contains(date.month) {
                date = date.nextMonth
                day = date.day
                firstMinute = 0
                continue
            }
            if matches(day: day, date: date), let found = minuteOfDay(from: firstMinute) {
                let local = day * 86_400 + found * 60
                return local < end ? local : nil
            }
            day += 1
            date = CivilDate(day: day)
            firstMinute = 0
        }
        return nil
    }

    private func minuteOfDay(from first: Int64) -> Int64? {
        guard first < 1440, let hour = hour.next(from: first / 60) else { return nil }
        if hour == first / 60 {
            if let minute = minute.next(from: first % 60), minute < 60 { return hour * 60 + minute }
            guard let later = self.hour.next(from: hour + 1), let minute = minute.next(from: 0) else { return nil }
            return later * 60 + minute
        }
        return minute.next(from: 0).map { hour * 60 + $0 }
    }
}
