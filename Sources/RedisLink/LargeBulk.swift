/// A large string that is collected where it stays. hiredis gathers a whole reply before it hands it over, and copies a body of a
/// megabyte three times on the way, each time into cold memory (`ops/bench.d/NOTES.md`).
struct LargeBulk {
    /// Bytes; what is smaller is read by hiredis.
    static let least = 64 << 10
    /// As many as the server announces, but no more memory than this before it has sent bytes for it.
    private static let mostReserved = 16 << 20
    /// Redis's own bound is 512 MB.
    private static let mostDigits = 9

    private let count: Int
    private(set) var bytes: [UInt8] = []
    /// Of the line's end behind the string.
    private var endBytes: [UInt8] = []

    /// - Parameter reply: the beginning of a reply, which is shortened by the head of the string; nil, and nothing taken, where it is
    ///   no such string or its head is not whole.
    init?(_ reply: inout UnsafeRawBufferPointer) {
        guard reply.first == UInt8(ascii: "$") else { return nil }
        let digits = reply.dropFirst().prefix(Self.mostDigits + 1).prefix {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        }
        guard digits.count <= Self.mostDigits, reply[digits.endIndex...].starts(with: "\r\n".utf8) else { return nil }
        count = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        guard count >= Self.least else { return nil }
        bytes.reserveCapacity(min(count, Self.mostReserved))
        reply = UnsafeRawBufferPointer(rebasing: reply[(digits.endIndex + 2)...])
    }

    /// Takes what belongs to it off `rest`; false where no line's end stands behind it.
    mutating func take(_ rest: inout UnsafeRawBufferPointer) -> Bool {
        let part = UnsafeRawBufferPointer(rebasing: rest.prefix(count - bytes.count))
        bytes.append(contentsOf: part)
        let end = rest.dropFirst(part.count).prefix(bytes.count == count ? 2 - endBytes.count : 0)
        endBytes += end
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count + end.count))
        return "\r\n".utf8.starts(with: endBytes)
    }

    var isWhole: Bool { endBytes.count == 2 }
}
