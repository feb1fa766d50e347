// Classes of single bytes, and the few things done with texts byte by byte on paths where Foundation is too slow.

package enum ASCII {
    package static func isUpper(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
    package static func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
    package static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
    package static func isAlphanumeric(_ byte: UInt8) -> Bool { isUpper(byte) || isLower(byte) || isDigit(byte) }
    package static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    package static func lower(_ byte: UInt8) -> UInt8 { isUpper(byte) ? byte + 32 : byte }

    package static func isTokenByte(_ byte: UInt8) -> Bool {
        if isAlphanumeric(byte) { return true }
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            return true
        default: return false
        }
    }

    package static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// Lower case of ASCII letters only; `lowercased()` of the standard library changes other letters too.
    package static func lowercased(_ text: String) -> String {
        guard text.utf8.contains(where: isUpper) else { return text }
        return String(decoding: text.utf8.map(lower), as: UTF8.self)
    }

    package static func equalIgnoringCase(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { lower($0) == lower($1) }
    }

    package static func equalIgnoringCase(_ left: String, _ right: String) -> Bool {
        let (left, right) = (left.utf8, right.utf8)
        // Counting is free, and most names that are compared differ in length.
        return left.count == right.count && left.elementsEqual(right) { lower($0) == lower($1) }
    }

    package static func hasPrefixIgnoringCase(_ text: some Collection<UInt8>, _ prefix: some Collection<UInt8>) -> Bool
    {
        var position = text.startIndex
        for byte in prefix {
            guard position != text.endIndex, lower(text[position]) == lower(byte) else { return false }
            position = text.index(after: position)
        }
        return true
    }

    /// Without blanks and tabs at both ends.
    package static func trimmed(_ text: String) -> String {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last else { return text }
        if !isBlank(first) && !isBlank(last) { return text }
        guard let start = bytes.firstIndex(where: { !isBlank($0) }),
            let end = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[start...end])
    }

    static func trimmed(_ text: Substring) -> Substring {
        let bytes = text.utf8
        guard let start = bytes.firstIndex(where: { !isBlank($0) }),
            let end = bytes.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return text[start...end]
    }

    /// The value of a text of digits alone, `Int64.max` when it does not fit; nil for anything else, a sign included.
    package static func saturatingInteger(_ digits: some Collection<UInt8>) -> Int64? {
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard isDigit(byte) else { return nil }
            value = Saturating.add(Saturating.multiply(value, 10), Int64(byte - 0x30))
        }
        return value
    }

    /// In decimal digits.
    static func append(_ number: Int64, to bytes: inout [UInt8]) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        var (digits, end): (Int, UInt64) = (1, 10)
        while digits < 19, number.magnitude >= end { (digits, end) = (digits + 1, end * 10) }
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: digits))
        var rest = number.magnitude
        var position = bytes.count
        while rest > 0 {
            position -= 1
            bytes[position] += UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }

    /// The bytes that hex digits stand for; nil where there is anything else.
    package static func unhex(_ text: String) -> [UInt8]? {
        let digits = text.utf8.map(hexValue)
        guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { (digits[$0] ?? 0) << 4 | (digits[$0 + 1] ?? 0) }
    }

    package static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
