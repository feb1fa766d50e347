// Names and values of HTTP headers: the canonical form, and what may be sent at all.

package enum HeaderName {
    /// First letter and each letter after `-` upper case, the rest lower (contract conventions.md §2). Bytes outside
    /// ASCII stay as they are.
    package static func canonical(_ name: String) -> String {
        var upper = true
        var isCanonical = true
        for byte in name.utf8 {
            if upper ? ASCII.isLower(byte) : ASCII.isUpper(byte) {
                isCanonical = false
                break
            }
            upper = byte == UInt8(ascii: "-")
        }
        if isCanonical { return name }
        var bytes = Array(name.utf8)
        upper = true
        for position in bytes.indices {
            let byte = bytes[position]
            if upper, ASCII.isLower(byte) {
                bytes[position] = byte - 32
            } else if !upper, ASCII.isUpper(byte) {
                bytes[position] = byte + 32
            }
            upper = byte == UInt8(ascii: "-")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// RFC 9110 §5.6.2 token.
    package static func isToken(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy(ASCII.isTokenByte)
    }

    /// No control character but tab: a CR, LF or NUL would let a value write headers of its own. No replacement
    /// character either: it stands where bytes were no UTF-8, and those could not be delivered as given.
    package static func isValidValue(_ value: String) -> Bool {
        value.utf8.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }
            && (value.utf8.allSatisfy { $0 < 0x80 } || !value.unicodeScalars.contains("\u{FFFD}"))
    }

    /// What is wrong with a value that is not valid.
    package static let valueRule = "contains a control character or bytes that are not UTF-8"

    /// Headers that belong to one connection or are computed for each request (contract publish.md §5).
    package static func isNeverForwarded(canonical name: String) -> Bool {
        switch name {
        case "Host", "Content-Length", "Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
            "Expect":
            true
        default: name.hasPrefix("Proxy-")
        }
    }

    /// Headers this server writes on each delivery; they win over forwarded ones (contract delivery.md §1).
    package static func isOwn(canonical name: String) -> Bool {
        switch name {
        case "Upstash-Signature", "Upstash-Message-Id", "Upstash-Retried", "Upstash-Topic-Name",
            "Upstash-Schedule-Id", "Upstash-Caller-Ip", "Upstash-Region":
            true
        default: false
        }
    }
}
