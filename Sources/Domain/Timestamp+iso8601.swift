// The one way times are written for people.

extension Timestamp {
    /// `2027-03-14T07:00:00.000Z`, in UTC.
    package var iso8601: String {
        let day = Int64((Double(seconds) / 86_400).rounded(.down))
        let (year, month, date) = Self.civil(day: day)
        let second = seconds - day * 86_400
        let millisecond = milliseconds - Saturating.multiply(seconds, 1000)
        func padded(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(date, 2))T"
            + "\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
            + ".\(padded(millisecond, 3))Z"
    }

    /// The Gregorian date of a day counted from 1970-01-01.
    private static func civil(day: Int64) -> (year: Int64, month: Int64, date: Int64) {
        // Counted from 0000-03-01, so that the leap day is the last of its year, in cycles of 400 years.
        let shifted = day + 719_468
        let cycle = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfCycle = shifted - cycle * 146_097
        let yearOfCycle = (dayOfCycle - dayOfCycle / 1460 + dayOfCycle / 36_524 - dayOfCycle / 146_096) / 365
        let dayOfYear = dayOfCycle - (365 * yearOfCycle + yearOfCycle / 4 - yearOfCycle / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let date = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfCycle + cycle * 400 + (month <= 2 ? 1 : 0), month, date)
    }
}
