// Percent encoding of URLs, paths and queries, on bytes.

package enum Percent {
    /// Decodes `%HH` once; a `%` that no two hex digits follow stays. Form decoding also turns `+` into a blank.
    package static func decode(_ bytes: some Collection<UInt8>, form: Bool = false) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var position = bytes.startIndex
        while position != bytes.endIndex {
            let byte = bytes[position]
            let next = bytes.index(after: position)
            if byte == UInt8(ascii: "%"), next != bytes.endIndex {
                let second = bytes.index(after: next)
                if second != bytes.endIndex, let high = ASCII.hexValue(bytes[next]),
                    let low = ASCII.hexValue(bytes[second])
                {
                    decoded.append(high << 4 | low)
                    position = bytes.index(after: second)
                    continue
                }
            }
            decoded.append(form && byte == UInt8(ascii: "+") ? 0x20 : byte)
            position = next
        }
        return decoded
    }

    /// Bytes that are not UTF-8 become U+FFFD: what comes out is a name to look up, never bytes to deliver.
    package static func decodeText(_ text: some StringProtocol, form: Bool = false) -> String {
        String(decoding: decode(Array(text.utf8), form: form), as: UTF8.self)
    }

    /// Encodes the bytes for which `isIllegal` holds, with upper-case digits.
    package static func encode(_ bytes: some Collection<UInt8>, where isIllegal: (UInt8) -> Bool) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(bytes.count)
        for byte in bytes {
            if isIllegal(byte) {
                encoded.append(UInt8(ascii: "%"))
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            } else {
                encoded.append(byte)
            }
        }
        return encoded
    }

    /// Everything but unreserved characters: for a name inside a path or a query.
    package static func encodeComponent(_ text: String) -> String {
        let encoded = encode(Array(text.utf8)) { byte in
            !ASCII.isAlphanumeric(byte) && ![0x2D, 0x2E, 0x5F, 0x7E].contains(byte)
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// Never legal in a URL: blank, controls, what is not ASCII, and any of quote, angle bracket,
    /// backslash, caret, backtick, brace and bar (contract publish.md §2).
    package static func isIllegalInURL(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x20, 0x7F...0xFF: true
        case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"),
            UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
            true
        default: false
        }
    }
}

/// The parameters of a query, form decoded, in order; without the leading `?`.
package enum QueryText {
    package static func parameters(_ query: some StringProtocol) -> [HeaderField] {
        query.utf8.split(separator: UInt8(ascii: "&")).map { part in
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let value = equals == part.endIndex ? part[part.endIndex...] : part[part.index(after: equals)...]
            return (
                name: String(decoding: Percent.decode(Array(part[..<equals]), form: true), as: UTF8.self),
                value: String(decoding: Percent.decode(Array(value), form: true), as: UTF8.self)
            )
        }
    }
}
