/// One command, encoded in the caller's task so that the event loop only copies bytes.

import CHiredis

/// A word of a command.
package enum RedisPart: Sendable {
    case text(String)
    case bytes([UInt8])
    case integer(Int64)

    fileprivate var mostBytes: Int {
        switch self {
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        case .integer: 20
        }
    }
}

package struct RedisCommand: Sendable {
    /// The command on the wire.
    package let encoded: [UInt8]
    /// Its first word, for logs.
    package let name: String

    /// Its first two words, for logs: what is done, and to which key.
    package var subject: String {
        // "*3", "$4", "HGET", "$5", "the key", each with "\r\n" behind it.
        let lines = encoded.split(separator: UInt8(ascii: "\n"), maxSplits: 5)
        return lines.count > 4 ? "\(name) \(String(decoding: lines[4].dropLast(), as: UTF8.self))" : name
    }

    package init(_ words: String...) { self.init(parts: words.map(RedisPart.text)) }

    package init(parts: [RedisPart]) {
        if case .text(let first)? = parts.first { name = first } else { name = "" }
        var words: [UInt8] = []
        var lengths: [Int] = []
        words.reserveCapacity(parts.reduce(1) { $0 + $1.mostBytes })
        lengths.reserveCapacity(parts.count)
        for part in parts {
            let start = words.count
            switch part {
            case .text(let text): words.append(contentsOf: text.utf8)
            case .bytes(let bytes): words.append(contentsOf: bytes)
            case .integer(let number): words.append(contentsOf: String(number).utf8)
            }
            lengths.append(words.count - start)
        }
        // One byte more, so that the buffer has an address even where every word is empty.
        words.append(0)
        encoded = Self.encode(words, lengths)
    }

    /// hiredis writes the protocol; it takes the words as pointers into one buffer. Into a string of its own kind: its other
    /// formatter prints each length with printf, at three times the cost.
    private static func encode(_ words: [UInt8], _ lengths: [Int]) -> [UInt8] {
        words.withUnsafeBytes { buffer in
            var arguments: [UnsafePointer<CChar>?] = []
            arguments.reserveCapacity(lengths.count)
            var offset = 0
            for length in lengths {
                arguments.append(buffer.baseAddress.map { ($0 + offset).assumingMemoryBound(to: CChar.self) })
                offset += length
            }
            var target: UnsafeMutablePointer<CChar>?
            let length = lengths.withUnsafeBufferPointer { lengths in
                Int(redisFormatSdsCommandArgv(&target, Int32(lengths.count), &arguments, lengths.baseAddress))
            }
            guard length > 0, let target else { return [] }
            defer { redisFreeSdsCommand(target) }
            return Array(UnsafeRawBufferPointer(start: target, count: length))
        }
    }
}
