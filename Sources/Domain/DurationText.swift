// Durations as clients write them: `1d10h30m`, `30` (contract conventions.md §9).

package enum DurationText {
    /// Seconds, `Int64.max` where they do not fit; nil where the text is not a duration.
    package static func parse(_ text: String) -> Int64? {
        let bytes = ASCII.trimmed(text).utf8
        if let seconds = ASCII.saturatingInteger(bytes) { return seconds }
        var total: Int64 = 0
        var rest = bytes[...]
        while !rest.isEmpty {
            let digits = rest.prefix(while: ASCII.isDigit)
            guard let count = ASCII.saturatingInteger(digits) else { return nil }
            rest = rest[digits.endIndex...]
            guard let unit = rest.popFirst(), let length = seconds(of: unit) else { return nil }
            total = Saturating.add(total, Saturating.multiply(count, length))
        }
        return bytes.isEmpty ? nil : total
    }

    private static func seconds(of unit: UInt8) -> Int64? {
        switch unit {
        case UInt8(ascii: "d"): 86_400
        case UInt8(ascii: "h"): 3600
        case UInt8(ascii: "m"): 60
        case UInt8(ascii: "s"): 1
        default: nil
        }
    }
}
