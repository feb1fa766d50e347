/// A value that was read, written again: one element of a list that came in one document.

import Domain

extension JSONText {
    mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .int(let number): int(number)
        case .double(let number): raw(Array("\(number)".utf8))
        case .string(let text): string(text)
        case .array(let elements):
            array { json in
                for element in elements { json.value(element) }
            }
        case .object(let object):
            self.object { json in
                for member in object.members {
                    json.key(member.key)
                    json.value(member.value)
                }
            }
        }
    }
}

extension JSONValue {
    /// Compact, members in the order they were read.
    var text: [UInt8] {
        var json = JSONText()
        json.value(self)
        return json.bytes
    }

    /// nil for absent, null and for what is no object.
    subscript(key: String) -> JSONValue? {
        guard let value = object?[key], value != .null else { return nil }
        return value
    }

    func time(_ key: String) -> Timestamp? { self[key]?.int.map { Timestamp(milliseconds: $0) } }

    /// What a bulk act has done in one call; within bounds that can be added up, whatever a server says.
    func count(_ key: String) -> Int { Int(min(max(0, self[key]?.int ?? 0), 1_000_000)) }

    /// For a table: empty where absent.
    func shown(_ key: String) -> String {
        switch self[key] {
        case nil, .null: ""
        case .string(let text): text
        case .int(let number): String(number)
        case .double(let number): String(number)
        case .bool(let flag): flag ? "yes" : "no"
        case .some(let other): String(decoding: other.text, as: UTF8.self)
        }
    }
}
