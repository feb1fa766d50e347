// IPv4 and IPv6 addresses as bytes, with all the spellings of IPv4 that a resolver accepts.

package struct IPAddress: Sendable, Hashable {
    /// 4 or 16, network order.
    package let bytes: [UInt8]

    package var isIPv4: Bool { bytes.count == 4 }

    /// nil unless there are 4 or 16 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Dotted decimal or RFC 4291 text, without brackets.
    package init?(_ text: String) {
        if let address = IPAddress(ipv6: text) {
            self = address
        } else if let address = IPAddress(dotted: text[...]) {
            self = address
        } else {
            return nil
        }
    }

    /// A host that every resolver takes for an IPv4 address: `127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`.
    package init?(shorthandIPv4 text: String) {
        // Every number of one begins with a digit: names are told apart at their first letter.
        guard let first = text.utf8.first, ASCII.isDigit(first) else { return nil }
        var rest = Array(text.utf8)[...]
        var value: UInt64 = 0
        // Each number but the last is a byte; the last fills what is left.
        for left in [3, 2, 1, 0] as [UInt64] {
            let part = rest.prefix { $0 != UInt8(ascii: ".") }
            let isLast = part.endIndex == rest.endIndex
            guard let number = Self.number(part), number < (isLast ? 1 << (8 * (left + 1)) : 256) else { return nil }
            value |= isLast ? number : number << (8 * left)
            if isLast {
                bytes = [value >> 24, value >> 16, value >> 8, value].map { UInt8(truncatingIfNeeded: $0) }
                return
            }
            rest = rest[(part.endIndex + 1)...]
        }
        return nil
    }

    package init?(ipv6 text: String) {
        guard text.utf8.count <= 45, text.utf8.contains(UInt8(ascii: ":")) else { return nil }
        let halves = Self.halves(of: text)
        guard let head = Self.groups(halves.head, mayEndInIPv4: halves.tail == nil) else { return nil }
        guard let tailText = halves.tail else {
            guard head.count == 16 else { return nil }
            bytes = head
            return
        }
        guard let tail = Self.groups(tailText, mayEndInIPv4: true), head.count + tail.count <= 14 else { return nil }
        bytes = head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private init?(dotted text: Substring) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard part.count <= 3, part.count == 1 || part.first != UInt8(ascii: "0"),
                let value = ASCII.saturatingInteger(part), value < 256
            else { return nil }
            bytes.append(UInt8(value))
        }
        self.bytes = bytes
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard let first = digits.first else { return nil }
        let radix: UInt64
        var rest = digits
        if digits.count > 1, first == UInt8(ascii: "0") {
            rest = rest.dropFirst()
            let isHex = rest.first.map(ASCII.lower) == UInt8(ascii: "x")
            if isHex { rest = rest.dropFirst() }
            radix = isHex ? 16 : 8
        } else {
            radix = 10
        }
        var value: UInt64 = 0
        for digit in rest {
            guard let unit = ASCII.hexValue(digit), unit < radix else { return nil }
            value = value * radix + UInt64(unit)
            if value > UInt64(UInt32.max) { return nil }
        }
        return value
    }

    /// Around `::`; the tail is nil where there is none.
    private static func halves(of text: String) -> (head: Substring, tail: Substring?) {
        let bytes = text.utf8
        var position = bytes.startIndex
        while position != bytes.endIndex {
            let next = bytes.index(after: position)
            if next != bytes.endIndex, bytes[position] == 0x3A, bytes[next] == 0x3A {
                return (text[..<position], text[bytes.index(after: next)...])
            }
            position = next
        }
        return (text[...], nil)
    }

    private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, let address = IPAddress(dotted: part) {
                bytes += address.bytes
                continue
            }
            guard (1...4).contains(part.utf8.count) else { return nil }
            var group: UInt16 = 0
            for digit in part.utf8 {
                guard let value = ASCII.hexValue(digit) else { return nil }
                group = group << 4 | UInt16(value)
            }
            bytes += [UInt8(group >> 8), UInt8(group & 0xFF)]
        }
        return bytes.count <= 16 ? bytes : nil
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or RFC 5952.
    package var description: String {
        if isIPv4 { return bytes.map { String($0) }.joined(separator: ".") }
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            let end = groups[start...].firstIndex { $0 != 0 } ?? 8
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        return best.isEmpty
            ? text(groups[...]) : "\(text(groups[..<best.lowerBound]))::\(text(groups[best.upperBound...]))"
    }
}

/// An address range such as `10.0.0.0/8`; a bare address is a range of one.
package struct Network: Sendable, Hashable {
    package let address: IPAddress
    package let prefix: Int

    package init?(_ text: String) {
        let text = ASCII.trimmed(text)
        let slash = text.firstIndex(of: "/") ?? text.endIndex
        guard let address = IPAddress(String(text[..<slash])) else { return nil }
        let longest = address.bytes.count * 8
        if slash == text.endIndex {
            prefix = longest
        } else {
            guard let prefix = ASCII.saturatingInteger(text[text.index(after: slash)...].utf8), prefix <= longest
            else { return nil }
            self.prefix = Int(prefix)
        }
        self.address = address
    }

    /// Names exactly one address.
    package var isSingle: Bool { prefix == address.bytes.count * 8 }

    package func contains(_ other: IPAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        let whole = prefix / 8
        guard address.bytes[..<whole] == other.bytes[..<whole] else { return false }
        guard prefix % 8 > 0 else { return true }
        return (address.bytes[whole] ^ other.bytes[whole]) >> UInt8(8 - prefix % 8) == 0
    }
}
