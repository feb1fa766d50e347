// Reads JSON: bodies of requests and our own records. Strict, because what is accepted here is stored. The reader
// itself is in JSONReader.

/// A JSON value.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without fraction and exponent that fits.
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Throws where the text is not exactly one JSON value, names a key twice, nests deeper than 64 or is not UTF-8.
    package static func read(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        guard UTF8Text.isValid(bytes) else { throw JSONError(text: "not valid UTF-8", offset: nil) }
        var reader = JSONReader(bytes: bytes)
        return try reader.document()
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var int: Int64? { if case .int(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// For texts of errors: "an object", "a number".
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .int, .double: "a number"
        case .string: "a text"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The members of an object in the order they were written. Keys are distinct.
package struct JSONObject: Sendable, Equatable {
    package struct Member: Sendable, Equatable {
        package let key: String
        package let value: JSONValue
    }

    package internal(set) var members: [Member] = []

    /// nil for absent; an explicit null is `.null`.
    package subscript(key: String) -> JSONValue? {
        // Counting is free, and most keys differ in length.
        members.first { $0.key.utf8.count == key.utf8.count && $0.key == key }?.value
    }
}

/// Why a text is not the JSON that was expected.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    package let text: String
    /// Bytes from the start, where the place is known.
    package let offset: Int?

    package var description: String { offset.map { "\(text) at byte \($0)" } ?? text }
}

extension HeaderMap {
    /// Reads `{"Name":["value"]}`; a single text stands for a list of one.
    package init(json value: JSONValue) throws(JSONError) {
        guard let object = value.object else {
            throw JSONError(text: "headers must be an object, not \(value.kind)", offset: nil)
        }
        self.init()
        for member in object.members {
            switch member.value {
            case .string(let text): add(member.key, text)
            case .array(let values):
                for value in values {
                    guard let text = value.string else {
                        throw JSONError(text: "a value of \(member.key) is \(value.kind), not a text", offset: nil)
                    }
                    add(member.key, text)
                }
            case .null, .bool, .int, .double, .object:
                throw JSONError(
                    text: "\(member.key) must be a text or an array of texts, not \(member.value.kind)", offset: nil)
            }
        }
    }
}
