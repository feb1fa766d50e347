// The parsers that bytes from outside reach first, each with what must hold for any input. The same checks run in two
// ways: over the files of Tests/Corpus as plain tests, and under libFuzzer, which looks for new ones (ops/fuzz).

/// One parser, or a few that read the same bytes. The raw value is the name of its folder in Tests/Corpus.
package enum FuzzTarget: String, CaseIterable, Sendable {
    case address
    case bodies
    case cron
    case destination
    case duration
    case flowControl = "flow-control"
    case json
    case listQuery = "list-query"
    case messageRecord = "message-record"
    case publish
    case redisReply = "redis-reply"
    case retryAfter = "retry-after"
    case retryDelay = "retry-delay"
    case scheduleRecord = "schedule-record"
    case signature
    case topicRecord = "topic-record"

    /// Reads any bytes. Throws where a property does not hold; traps where the parser does.
    package func check(_ bytes: [UInt8]) throws {
        switch self {
        case .address: try Self.address(bytes)
        case .bodies: try Self.bodies(bytes)
        case .cron: try Self.cron(bytes)
        case .destination: try Self.destination(bytes)
        case .duration: try Self.duration(bytes)
        case .flowControl: try Self.flowControl(bytes)
        case .json: try Self.json(bytes)
        case .listQuery: try Self.listQuery(bytes)
        case .messageRecord: try Self.messageRecord(bytes)
        case .publish: try Self.publish(bytes)
        case .redisReply: try Self.redisReply(bytes)
        case .retryAfter: try Self.retryAfter(bytes)
        case .retryDelay: try Self.retryDelay(bytes)
        case .scheduleRecord: try Self.scheduleRecord(bytes)
        case .signature: try Self.signature(bytes)
        case .topicRecord: try Self.topicRecord(bytes)
        }
    }

    /// A property that an input breaks.
    package struct Finding: Error, CustomStringConvertible {
        package let description: String
    }

    static func hold(_ condition: Bool, _ text: @autoclosure () -> String) throws {
        if !condition { throw Finding(description: text()) }
    }

    /// Bytes of a header or a target as the server makes a text of them.
    static func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// Bytes in the shape of an HTTP message, so that a person can write and read them: lines, the first of them by itself,
/// the others as `name: value`, an empty line, a body.
struct LinedInput {
    var first: [UInt8] = []
    var fields: [(name: String, value: [UInt8])] = []
    var body: [UInt8] = []

    /// - Parameter hasFirst: false where all lines are fields.
    init(_ bytes: [UInt8], hasFirst: Bool = true) {
        var rest = bytes[...]
        var isFirst = hasFirst
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? (rest.isEmpty ? nil : rest.endIndex) {
            let line = rest[..<end]
            rest = rest[min(end + 1, rest.endIndex)...]
            if isFirst {
                first = Array(line)
                isFirst = false
            } else if line.isEmpty {
                body = Array(rest)
                return
            } else {
                let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
                var value = line[colon...].dropFirst()
                if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
                fields.append((name: FuzzTarget.text(line[..<colon]), value: Array(value)))
            }
        }
    }
}
