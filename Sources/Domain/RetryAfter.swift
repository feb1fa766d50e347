// How long a failing destination asks us to wait: the Retry-After family (contract delivery.md §7).

package enum RetryAfter {
    private static let names = [
        "Retry-After", "X-Ratelimit-Reset", "X-Ratelimit-Reset-Requests", "X-Ratelimit-Reset-Tokens",
    ]

    /// Milliseconds from the first header whose value is usable; nil when none is.
    package static func delay(in headers: HeaderMap, now: Timestamp, longest: Int64 = 86_400_000) -> Int64? {
        for name in names {
            for value in headers[name] {
                if let delay = parse(value, now: now, longest: longest) { return delay }
            }
        }
        return nil
    }

    /// Seconds, an HTTP date or a duration. nil where it is unreadable, negative or more than `longest` ahead.
    package static func parse(_ text: String, now: Timestamp, longest: Int64 = 86_400_000) -> Int64? {
        let text = ASCII.trimmed(text)
        let delay: Int64
        if let nanoseconds = duration(text) {
            // More than the limit by a fraction of a millisecond is still more.
            let milliseconds = nanoseconds / 1_000_000
            delay = nanoseconds % 1_000_000 > 0 && milliseconds == longest ? milliseconds + 1 : milliseconds
        } else if let date = HTTPDate.parse(text) {
            delay = max(0, date.milliseconds(since: now))
        } else {
            return nil
        }
        return delay > longest ? nil : delay
    }

    /// Nanoseconds of `10`, `1.5`, `6m5s`.
    private static func duration(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let whole = rest.prefix(while: ASCII.isDigit)
            guard let count = ASCII.saturatingInteger(whole) else { return nil }
            rest = rest[whole.endIndex...]
            var fraction: ArraySlice<UInt8> = []
            if rest.first == UInt8(ascii: ".") {
                fraction = rest.dropFirst().prefix(while: ASCII.isDigit)
                if fraction.isEmpty { return nil }
                rest = rest[fraction.endIndex...]
            }
            let letters = rest.prefix { !ASCII.isDigit($0) && $0 != UInt8(ascii: ".") }
            rest = rest[letters.endIndex...]
            let isBare = letters.isEmpty && rest.isEmpty && total == 0 && whole.startIndex == 0
            guard let unit = isBare ? 1_000_000_000 : nanoseconds(of: letters) else { return nil }
            total = Saturating.add(total, Saturating.multiply(count, unit))
            total = Saturating.add(total, part(fraction, of: unit))
        }
        return total
    }

    /// Six digits of a fraction count: their product with an hour still fits.
    private static func part(_ digits: ArraySlice<UInt8>, of unit: Int64) -> Int64 {
        var scale: Int64 = 1
        var value: Int64 = 0
        for digit in digits.prefix(6) {
            value = value * 10 + Int64(digit - 0x30)
            scale *= 10
        }
        return Saturating.multiply(value, unit) / scale
    }

    private static func nanoseconds(of letters: ArraySlice<UInt8>) -> Int64? {
        switch String(decoding: letters, as: UTF8.self) {
        case "ns": 1
        case "us", "\u{B5}s", "\u{3BC}s": 1000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m": 60_000_000_000
        case "h": 3_600_000_000_000
        default: nil
        }
    }
}
