// Ids of messages: `msg_`, one character for the root, then time, a counter and randomness in base 62, so that their
// order as text is the order of creation within a process (equal due times keep publish order).

import Synchronization

package struct MessageID: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let text: String

    /// Any text, not checked: an id that does not exist is a 404, never a trap.
    package init(_ text: String) { self.text = text }

    package var description: String { text }

    package static func < (left: MessageID, right: MessageID) -> Bool { left.text < right.text }

    /// A new id, greater than every one made before in this process, also when the clock steps back.
    package static func make(now: Timestamp) -> MessageID { source.next(now: now) }

    private static let source = MessageIDSource()
}

/// Where ids come from. One for the process; tests make their own.
package final class MessageIDSource: Sendable {
    private struct Last {
        var milliseconds: UInt64 = 0
        var counter: UInt64 = 0
    }

    private let last = Mutex(Last())
    /// The root the message lives in; only one exists.
    private static let root = UInt8(ascii: "0")
    /// Exclusive ends of what fits into 8 and 4 digits.
    private static let timeEnd: UInt64 = 218_340_105_584_896
    private static let counterEnd: UInt64 = 14_776_336

    package init() {}

    package func next(now: Timestamp) -> MessageID {
        let now = UInt64(max(0, now.milliseconds))
        let (milliseconds, counter) = last.withLock { last in
            if now > last.milliseconds {
                last = Last(milliseconds: min(now, Self.timeEnd - 1))
            } else if last.counter + 1 < Self.counterEnd {
                last.counter += 1
            } else {
                last = Last(milliseconds: min(last.milliseconds + 1, Self.timeEnd - 1))
            }
            return (last.milliseconds, last.counter)
        }
        var bytes = Array("msg_".utf8)
        bytes.reserveCapacity(32)
        bytes.append(Self.root)
        Base62.append(milliseconds, digits: 8, to: &bytes)
        Base62.append(counter, digits: 4, to: &bytes)
        Base62.appendRandom(digits: 12, to: &bytes)
        return MessageID(String(decoding: bytes, as: UTF8.self))
    }
}

/// `jwt_` and 27 random characters: new for each attempt.
package enum JWTID {
    package static func make() -> String {
        var bytes = Array("jwt_".utf8)
        Base62.appendRandom(digits: 27, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// `scd_` and 28 random characters.
package enum ScheduleID {
    package static func make() -> String {
        var bytes = Array("scd_".utf8)
        Base62.appendRandom(digits: 28, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Digits in ASCII order, so that texts of equal length sort like their numbers.
enum Base62 {
    private static let digits = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// The lowest `count` digits, highest first.
    static func append(_ value: UInt64, digits count: Int, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: repeatElement(0, count: count))
        var value = value
        for position in ((bytes.count - count)..<bytes.count).reversed() {
            bytes[position] = digits[Int(value % 62)]
            value /= 62
        }
    }

    static func appendRandom(digits count: Int, to bytes: inout [UInt8]) {
        // 62^9 is 1/1362 of 2^64: the bias of the remainder is below a thousandth of one digit.
        var left = count
        for word in SystemRandom.words((count + 8) / 9) {
            let take = min(left, 9)
            append(word, digits: take, to: &bytes)
            left -= take
        }
    }
}
