// The one way times are written for people.

extension Timestamp {
    /// `2027-03-14T07:00:00.000Z`, in UTC.
    package var iso8601: String {
        let millisecond = milliseconds - Saturating.multiply(seconds, 1000)
        let digits = String(millisecond)
        return text(offset: 0) + "." + String(repeating: "0", count: 3 - digits.count) + digits + "Z"
    }

    /// `2027-03-14T03:00:00-04:00`, or with `Z` for an offset of 0 where `zulu`.
    ///
    /// - `offset`: seconds east of UTC.
    package func iso8601(offset: Int64, zulu: Bool = false) -> String {
        if zulu, offset == 0 { return text(offset: 0) + "Z" }
        let minutes = offset.magnitude / 60
        return text(offset: offset) + (offset < 0 ? "-" : "+") + Self.padded(Int64(minutes / 60), 2) + ":"
            + Self.padded(Int64(minutes % 60), 2)
    }

    private func text(offset: Int64) -> String {
        let local = Saturating.add(seconds, offset)
        let day = local >= 0 ? local / 86_400 : (local - 86_399) / 86_400
        let second = local - day * 86_400
        let civil = CivilDate(day: day)
        return "\(Self.padded(civil.year, 4))-\(Self.padded(civil.month, 2))-\(Self.padded(civil.date, 2))T"
            + "\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2)):\(Self.padded(second % 60, 2))"
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
