// Base64 in both alphabets, encode only: bodies in envelopes, and the parts of a signature.

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

    private static func append(
        _ input: UnsafeBufferPointer<UInt8>, to output: inout [UInt8], alphabet: Alphabet, padded: Bool
    ) {
        let table = alphabet == .standard ? standard : url
        output.reserveCapacity(output.count + (input.count + 2) / 3 * 4 + 1)
        table.withUnsafeBufferPointer { table in
            var position = 0
            while position + 2 < input.count {
                let group = UInt32(input[position]) << 16 | UInt32(input[position + 1]) << 8 | UInt32(input[position + 2])
                output.append(table[Int(group >> 18)])
                output.append(table[Int(group >> 12 & 63)])
                output.append(table[Int(group >> 6 & 63)])
                output.append(table[Int(group & 63)])
                position += 3
            }
            let rest = input.count - position
            guard rest > 0 else { return }
            let group = UInt32(input[position]) << 16 | (rest == 2 ? UInt32(input[position + 1]) << 8 : 0)
            output.append(table[Int(group >> 18)])
            output.append(table[Int(group >> 12 & 63)])
            if rest == 2 { output.append(table[Int(group >> 6 & 63)]) }
            if padded { output.append(contentsOf: repeatElement(UInt8(ascii: "="), count: 3 - rest)) }
        }
    }
}
