/// A reply of Redis as a value, converted once from what hiredis parsed.

import CHiredis

package enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    /// A simple or a bulk string: bytes, which need not be UTF-8.
    case bulk([UInt8])
    case array([RedisValue])
    /// An error inside an array (of EXEC, say); one that is the whole reply is thrown as `RedisError.server`.
    case error(String)

    package var bytes: [UInt8]? {
        if case .bulk(let bytes) = self { return bytes }
        return nil
    }

    /// The text of a string; bytes that are not UTF-8 are replaced.
    package var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// An integer reply, or a string of digits.
    package var int64: Int64? {
        switch self {
        case .integer(let value): value
        case .bulk(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        case .null, .array, .error: nil
        }
    }

    package var array: [RedisValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    /// hiredis refuses nesting beyond seven levels before this sees it.
    init(_ reply: UnsafePointer<redisReply>) {
        let reply = reply.pointee
        switch reply.type {
        case REDIS_REPLY_INTEGER:
            self = .integer(reply.integer)
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS:
            self = .bulk(Self.bytes(reply))
        case REDIS_REPLY_ERROR:
            self = .error(String(decoding: Self.bytes(reply), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            var values: [RedisValue] = []
            values.reserveCapacity(Int(reply.elements))
            for index in 0..<Int(reply.elements) {
                if let element = reply.element?[index] { values.append(RedisValue(element)) }
            }
            self = .array(values)
        default:
            self = .null
        }
    }

    private static func bytes(_ reply: redisReply) -> [UInt8] {
        guard let text = reply.str else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: Int(reply.len)))
    }
}
