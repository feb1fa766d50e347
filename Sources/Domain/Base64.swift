// Base64 in both alphabets: bodies in envelopes, and the parts of a signature.

package enum Base64 {
    package enum Alphabet: Sendable { case standard, url }

    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let url = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func append(
        _ input: some Collection<UInt8>, to output: inout [UInt8], alphabet: Alphabet, padded: Bool
    ) {
        let done: Void? = input.withContiguousStorageIfAvailable {
            append($0, to: &output, alphabet: alphabet, padded: padded)
        }
        if done == nil {
            Array(input).withUnsafeBufferPointer { append($0, to: &output, alphabet: alphabet, padded: padded) }
        }
    }

    package static func text(_ input: some Collection<UInt8>, alphabet: Alphabet, padded: Bool) -> String {
        var output: [UInt8] = []
        append(input, to: &output, alphabet: alphabet, padded: padded)
        return String(decoding: output, as: UTF8.self)
    }

    /// Both alphabets, padded or not; nil for anything else.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var output: [UInt8] = []
        var group: UInt32 = 0
        var digits = 0
        var rest = Array(text.utf8)[...]
        while rest.last == UInt8(ascii: "=") { rest = rest.dropLast() }
        output.reserveCapacity(rest.count * 3 / 4)
        for byte in rest {
            guard let value = digit(byte) else { return nil }
            group = group << 6 | UInt32(value)
            digits += 1
            if digits % 4 == 0 {
                output += [
                    UInt8(truncatingIfNeeded: group >> 16), UInt8(truncatingIfNeeded: group >> 8),
                    UInt8(truncatingIfNeeded: group),
                ]
                group = 0
            }
        }
        switch digits % 4 {
        case 0: break
        case 2: output.append(UInt8(truncatingIfNeeded: group >> 4))
        case 3: output += [UInt8(truncatingIfNeeded: group >> 10), UInt8(truncatingIfNeeded: group >> 2)]
        default: return nil
        }
        return output
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: nil
        }
    }

    private static func append(
        _ input: UnsafeBufferPointer<UInt8>, to output: inout [UInt8], alphabet: Alphabet, padded: Bool
    ) {
        let table = alphabet == .standard ? standard : url
        // Written without a check of each byte's place: envelopes hold bodies of megabytes.
        output += [UInt8](unsafeUninitializedCapacity: (input.count + 2) / 3 * 4) { digits, count in
            table.withUnsafeBufferPointer { table in
                func put(_ group: UInt32, _ shift: UInt32) {
                    digits[count] = table[Int(group >> shift & 63)]
                    count += 1
                }
                var position = 0
                while position + 2 < input.count {
                    let group =
                        UInt32(input[position]) << 16 | UInt32(input[position + 1]) << 8 | UInt32(input[position + 2])
                    put(group, 18)
                    put(group, 12)
                    put(group, 6)
                    put(group, 0)
                    position += 3
                }
                let rest = input.count - position
                guard rest > 0 else { return }
                let group = UInt32(input[position]) << 16 | (rest == 2 ? UInt32(input[position + 1]) << 8 : 0)
                put(group, 18)
                put(group, 12)
                if rest == 2 { put(group, 6) }
                guard padded else { return }
                for _ in rest..<3 {
                    digits[count] = UInt8(ascii: "=")
                    count += 1
                }
            }
        }
    }
}
