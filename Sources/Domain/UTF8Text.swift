// Whether bytes are text, and where to cut them so that they stay text.

package enum UTF8Text {
    package static func isValid(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { isValid($0) }
    }

    /// In pieces that end between characters: checking a piece makes a copy of it.
    static func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var start = 0
        while start < bytes.count {
            var end = min(start + 65_536, bytes.count)
            while end < bytes.count, end > start, bytes[end] & 0xC0 == 0x80 { end -= 1 }
            if end == start { return false }
            let piece = UnsafeBufferPointer(rebasing: bytes[start..<end])
            if !piece.allSatisfy({ $0 < 0x80 }), String(validating: piece, as: UTF8.self) == nil { return false }
            start = end
        }
        return true
    }

    /// The kept part of a response that was longer than the limit: without the fragment of a character cut at its end,
    /// if everything before that is valid UTF-8 (contract delivery.md §4); otherwise as it is.
    package static func withoutCutCharacter(_ bytes: [UInt8]) -> [UInt8] {
        guard let last = bytes.last, last >= 0x80 else { return bytes }
        // A character has at most three continuation bytes, so its first byte is one of the last four.
        let window = bytes.suffix(4)
        guard let lead = window.lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return bytes }
        let length: Int
        switch bytes[lead] {
        case 0xC2...0xDF: length = 2
        case 0xE0...0xEF: length = 3
        case 0xF0...0xF4: length = 4
        default: return bytes
        }
        guard bytes.count - lead < length else { return bytes }
        let kept = Array(bytes[..<lead])
        return isValid(kept) ? kept : bytes
    }
}
