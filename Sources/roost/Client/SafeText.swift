/// Text from a server, made fit for a terminal: one line, nothing that moves the cursor or turns the reading direction.

import Domain

enum SafeText {
    /// Controls become `\n`, `\t`, `\u{1B}`; so do the characters that reorder or hide text.
    static func line(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        var safe = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": safe += "\\n"
            case "\r": safe += "\\r"
            case "\t": safe += "\\t"
            case _ where isUnsafe(scalar): safe += "\\u{" + String(scalar.value, radix: 16, uppercase: true) + "}"
            default: safe.unicodeScalars.append(scalar)
            }
        }
        return safe
    }

    /// A JSON text with what a terminal could obey escaped inside its strings: the same value. A server escapes the
    /// controls below 0x20 only.
    static func json(_ bytes: [UInt8]) -> [UInt8] {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.unicodeScalars.contains(where: { isUnsafe($0) && $0.value > 0x20 }) else { return bytes }
        var safe: [UInt8] = []
        safe.reserveCapacity(bytes.count + 64)
        for scalar in text.unicodeScalars {
            if isUnsafe(scalar), scalar.value > 0x20 {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    safe += Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
                }
            } else {
                safe += Array(String(scalar).utf8)
            }
        }
        return safe
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value >= 0x20, scalar.value < 0x7F { return false }
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }

    /// Columns of a terminal.
    static func width(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + width($1) } }

    /// At most `limit` columns, the last of them `…` where something was cut.
    static func cut(_ text: String, to limit: Int) -> String {
        guard width(text) > limit else { return text }
        guard limit > 0 else { return "" }
        var kept = ""
        var used = 0
        for character in text {
            let size = width(String(character))
            if used + size > limit - 1 { break }
            kept.append(character)
            used += size
        }
        return kept + "…"
    }

    /// The same, cut in its first third: URLs of one host differ at their end.
    static func cutInside(_ text: String, to limit: Int) -> String {
        guard width(text) > limit, limit > 4 else { return cut(text, to: limit) }
        let head = cut(text, to: limit / 3)
        var tail = ""
        var used = width(head)
        for character in text.reversed() {
            used += width(String(character))
            if used > limit { break }
            tail.append(character)
        }
        return head + String(tail.reversed())
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark: return 0
        default: break
        }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
