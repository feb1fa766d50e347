/// A reply of Redis as a value.

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
}
