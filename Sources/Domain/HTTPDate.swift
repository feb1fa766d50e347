// Dates in headers: `Thu, 27 Jun 2024 12:16:24 GMT`.

package enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

    /// The weekday must be one but need not be the right one: the documented example has a wrong one.
    package static func parse(_ text: String) -> Timestamp? {
        let bytes = Array(text.utf8)
        guard bytes.count == 29, bytes[3] == UInt8(ascii: ","), [4, 7, 11, 16, 25].allSatisfy({ bytes[$0] == 0x20 }),
            bytes[19] == UInt8(ascii: ":"), bytes[22] == UInt8(ascii: ":"), bytes[26...].elementsEqual("GMT".utf8),
            days.contains(String(decoding: bytes[..<3], as: UTF8.self)),
            let month = months.firstIndex(of: String(decoding: bytes[8..<11], as: UTF8.self)),
            let day = ASCII.saturatingInteger(bytes[5..<7]), let year = ASCII.saturatingInteger(bytes[12..<16]),
            let hour = ASCII.saturatingInteger(bytes[17..<19]), let minute = ASCII.saturatingInteger(bytes[20..<22]),
            let second = ASCII.saturatingInteger(bytes[23..<25]),
            (1...daysOfMonth(month + 1, year: year)).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        let date = daysSince1970(year: year, month: Int64(month + 1), day: day)
        return Timestamp(seconds: date * 86_400 + hour * 3600 + minute * 60 + second)
    }

    private static func daysOfMonth(_ month: Int, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Gregorian, counted in eras of 400 years that begin in March. Years have four digits, so nothing overflows.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
