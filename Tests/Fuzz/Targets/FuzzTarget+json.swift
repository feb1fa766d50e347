// The JSON reader, held against Foundation's, and the writer against the reader.

import Domain
import Foundation

extension FuzzTarget {
    static func json(_ bytes: [UInt8]) throws {
        let foreign = try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.read(bytes)
        } catch {
            // What we refuse on purpose, and what Foundation takes on its own: other encodings, a byte order mark, and a
            // comma before the end of an object or array.
            let isStricter =
                ["given twice", "nested deeper", "not valid UTF-8", "out of range"].contains {
                    error.text.contains($0)
                } || bytes.prefix(4).contains(0) || bytes.prefix(2).contains { $0 >= 0x80 }
                || isBehindComma(bytes[..<min(error.offset ?? 0, bytes.count)])
            return try hold(foreign == nil || isStricter, "Foundation reads it: \(error)")
        }
        guard let foreign else { throw Finding(description: "Foundation refuses it") }
        try hold(isEqual(value, foreign), "Foundation reads it as \(foreign)")
        var written = JSONText()
        write(value, to: &written)
        try hold(try JSONValue.read(written.bytes) == value, "written and read again it differs")
    }

    private static func isBehindComma(_ read: ArraySlice<UInt8>) -> Bool {
        read.last { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: ",")
    }

    private static func isEqual(_ value: JSONValue, _ foreign: Any) -> Bool {
        switch value {
        case .null: foreign is NSNull
        case .bool(let value): (foreign as? NSNumber)?.boolValue == value
        case .int(let value): (foreign as? NSNumber)?.int64Value == value
        // Foundation goes through decimals, and is wrong in the last digit.
        case .double(let value):
            (foreign as? NSNumber).map { abs($0.doubleValue - value) <= abs(value) * 1e-12 } ?? false
        case .string(let value): (foreign as? String).map { $0.utf8.elementsEqual(value.utf8) } ?? false
        case .array(let values):
            (foreign as? [Any]).map { $0.count == values.count && zip(values, $0).allSatisfy(isEqual) } ?? false
        case .object(let object):
            (foreign as? [String: Any]).map { dictionary in
                dictionary.count == object.members.count
                    && object.members.allSatisfy { member in
                        dictionary[member.key].map { isEqual(member.value, $0) } ?? false
                    }
            } ?? false
        }
    }

    private static func write(_ value: JSONValue, to json: inout JSONText) {
        switch value {
        case .null: json.null()
        case .bool(let value): json.bool(value)
        case .int(let value): json.int(value)
        case .double(let value): json.raw(Array("\(value)".utf8))
        case .string(let value): json.string(value)
        case .array(let values): json.array { json in for value in values { write(value, to: &json) } }
        case .object(let object):
            json.object { json in
                for member in object.members {
                    json.key(member.key)
                    write(member.value, to: &json)
                }
            }
        }
    }
}
