// Reads the cron grammar of contract schedules.md §3.

extension CronExpression {
    /// - `now`: the expression must match within five years from here.
    package init(_ text: String, now: Timestamp) throws(Fault) {
        try self.init(parsing: text)
        if next(after: now) == nil { throw Fault(text: "no match within five years: \(self.text)") }
    }

    private init(parsing text: String) throws(Fault) {
        self.text = ASCII.trimmed(text)
        var words = self.text.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard let first = words.first else { throw Fault(text: "empty spec string") }
        guard self.text.utf8.count <= 1000 else { throw Fault(text: "longer than 1000 characters") }
        var zone = ScheduleZone.utc
        if let name = Self.zoneName(first) {
            guard let found = ScheduleZone(String(name)) else { throw Fault(text: "unknown time zone \(name)") }
            zone = found
            words.removeFirst()
        }
        self.zone = zone
        if let macro = words.first, macro.hasPrefix("@") {
            guard words.count == 1, let fields = Self.macros[String(macro)] else {
                throw Fault(text: "unrecognized descriptor: \(words.joined(separator: " "))")
            }
            words = fields.split(separator: " ")
        }
        guard words.count == 5 else {
            throw Fault(text: "expected exactly 5 fields, found \(words.count): \(words.joined(separator: " "))")
        }
        minute = try Self.field(words[0], "minute", 0...59)
        hour = try Self.field(words[1], "hour", 0...23)
        dayOfMonth = try Self.field(words[2], "day of month", 1...31)
        month = try Self.field(words[3], "month", 1...12, names: Self.months, first: 1)
        dayOfWeek = try Self.field(words[4], "day of week", 0...6, names: Self.days, first: 0)
        let starts = words[1].first == "*" || words[1].first == "?"
        kind = starts || hour.values == (1 << 24) - 1 ? .interval : .clock
    }

    private static func zoneName(_ word: Substring) -> Substring? {
        for prefix in ["CRON_TZ=", "TZ="] where word.hasPrefix(prefix) { return word.dropFirst(prefix.count) }
        return nil
    }

    private static let macros = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    private static let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    private static func field(
        _ text: Substring, _ name: String, _ range: ClosedRange<Int64>, names: [String] = [], first: Int64 = 0
    ) throws(Fault) -> Field {
        func fault(_ reason: String) -> Fault { Fault(text: "\(reason) in the \(name) field: \(text)") }
        func value(_ text: Substring) throws(Fault) -> Int64 {
            if let index = names.firstIndex(of: text.lowercased()) { return first + Int64(index) }
            guard let number = ASCII.saturatingInteger(text.utf8) else { throw fault("failed to parse \"\(text)\"") }
            guard range.contains(number) else {
                throw fault("\(number) is not within \(range.lowerBound)-\(range.upperBound)")
            }
            return number
        }
        var field = Field(isRestricted: text != "*" && text != "?")
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard let base = parts.first, !base.isEmpty, parts.count <= 2 else {
                throw fault("failed to parse \"\(item)\"")
            }
            var low = range.lowerBound
            var high = range.upperBound
            if base != "*", base != "?" {
                let ends = base.split(separator: "-", omittingEmptySubsequences: false)
                guard ends.count <= 2 else { throw fault("too many hyphens") }
                low = try value(ends[0])
                high = ends.count == 2 ? try value(ends[1]) : parts.count == 2 ? range.upperBound : low
                if low > high { throw fault("beginning of range \(low) is beyond its end \(high)") }
            }
            var step: Int64 = 1
            if parts.count == 2 {
                guard let number = ASCII.saturatingInteger(parts[1].utf8), number >= 1 else {
                    throw fault("step must be a whole number from 1")
                }
                step = number
            }
            var current = low
            while current <= high {
                field.values |= 1 << UInt64(current)
                current = Saturating.add(current, step)
            }
        }
        return field
    }
}
