// Writes JSON as bytes, appending only: records, answers and envelopes. Reading is JSONValue's part.

/// A compact JSON text under construction. Commas are placed by looking at the last byte: a value always ends in a byte
/// other than `{`, `[`, `:` and `,`, so nothing else has to be remembered.
package struct JSONText: Sendable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 256) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// The text, for places that want a `String`.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    package mutating func object<E: Error>(_ members: (inout JSONText) throws(E) -> Void) throws(E) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        try members(&self)
        bytes.append(UInt8(ascii: "}"))
    }

    package mutating func array<E: Error>(_ elements: (inout JSONText) throws(E) -> Void) throws(E) {
        separate()
        bytes.append(UInt8(ascii: "["))
        try elements(&self)
        bytes.append(UInt8(ascii: "]"))
    }

    package mutating func key(_ name: String) {
        string(name)
        bytes.append(UInt8(ascii: ":"))
    }

    package mutating func string(_ value: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { escape($0) }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Bytes that are known to be valid UTF-8.
    package mutating func string(validUTF8 value: [UInt8]) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        value.withUnsafeBufferPointer { escape($0) }
        bytes.append(UInt8(ascii: "\""))
    }

    package mutating func int(_ value: Int64) {
        separate()
        ASCII.append(value, to: &bytes)
    }

    package mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    package mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    /// Padded.
    package mutating func base64(_ value: some Collection<UInt8>, alphabet: Base64.Alphabet = .standard) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        Base64.append(value, to: &bytes, alphabet: alphabet, padded: true)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A complete JSON value made elsewhere.
    package mutating func raw(_ json: [UInt8]) {
        separate()
        bytes.append(contentsOf: json)
    }

    private mutating func separate() {
        switch bytes.last {
        case nil, UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"), UInt8(ascii: ","): break
        case .some: bytes.append(UInt8(ascii: ","))
        }
    }

    private mutating func escape(_ value: UnsafeBufferPointer<UInt8>) {
        var start = 0
        for position in 0..<value.count {
            let byte = value[position]
            guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
            bytes.append(contentsOf: value[start..<position])
            start = position + 1
            bytes.append(UInt8(ascii: "\\"))
            switch byte {
            case 0x08: bytes.append(UInt8(ascii: "b"))
            case 0x09: bytes.append(UInt8(ascii: "t"))
            case 0x0A: bytes.append(UInt8(ascii: "n"))
            case 0x0C: bytes.append(UInt8(ascii: "f"))
            case 0x0D: bytes.append(UInt8(ascii: "r"))
            case 0x00..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: [0x75, 0x30, 0x30, digits[Int(byte >> 4)], digits[Int(byte & 15)]])
            default: bytes.append(byte)
            }
        }
        bytes.append(contentsOf: value[start...])
    }
}
