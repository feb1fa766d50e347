// A cron expression (contract schedules.md §3): which minutes of which days it means. The parser is in +parse, the next
// run in +next.

package struct CronExpression: Sendable, Hashable {
    /// Bit n stands for the value n.
    struct Field: Sendable, Hashable {
        var values: UInt64 = 0
        /// Not a plain `*` or `?`.
        var isRestricted = true

        func contains(_ value: Int64) -> Bool { value >= 0 && value < 64 && values & (1 << UInt64(value)) != 0 }

        /// The smallest value from `value` on.
        func next(from value: Int64) -> Int64? {
            guard value < 64 else { return nil }
            let rest = values & (UInt64.max << UInt64(max(0, value)))
            return rest == 0 ? nil : Int64(rest.trailingZeroBitCount)
        }
    }

    package enum Kind: Sendable, Hashable {
        /// Goes on in real time, whatever the clocks do.
        case interval
        /// Runs at its local times: a skipped one after the gap, a doubled one once.
        case clock
    }

    /// As given, trimmed.
    package let text: String
    package let zone: ScheduleZone
    package let kind: Kind
    let minute: Field
    let hour: Field
    let dayOfMonth: Field
    let month: Field
    let dayOfWeek: Field

    package struct Fault: Error, Sendable, Hashable {
        /// What follows "Invalid cron expression ".
        package let text: String
    }

    func matches(day: Int64, date: CivilDate) -> Bool {
        guard month.contains(date.month) else { return false }
        let weekday = ((day + 4) % 7 + 7) % 7
        let byDate = dayOfMonth.contains(date.date)
        let byWeekday = dayOfWeek.contains(weekday)
        return dayOfMonth.isRestricted && dayOfWeek.isRestricted ? byDate || byWeekday : byDate && byWeekday
    }
}
