// The one JSON reader: recursive descent over bytes that are known to be UTF-8.

struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0
    private static let deepest = 64
    /// Members that are compared with each other one by one.
    private static let short = 24
    /// The texts of this member, in the objects of an outermost array, are checked and left where they are.
    private var deferring: String?
    private var deferred: JSONSlice?

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads an array element by element, so that never all of them are in memory as values. The text of the member
    /// `key` of an element is handed over as the place where it stands, and is empty in the value.
    mutating func elements(
        deferring key: String, _ visit: (JSONValue, JSONSlice?) throws(RequestError) -> Void
    ) throws(JSONElementsError) {
        do {
            skipBlanks()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "[") else {
                _ = try document()
                throw JSONError(text: "not an array", offset: nil)
            }
            deferring = key
            try descend()
            if !take(UInt8(ascii: "]")) {
                repeat {
                    deferred = nil
                    let element = try value()
                    try visit(element, deferred)
                } while take(UInt8(ascii: ","))
                guard take(UInt8(ascii: "]")) else { throw fault("expected ',' or ']'") }
            }
            skipBlanks()
            if position < bytes.count { throw fault("more text after the value") }
        } catch let error as JSONError {
            throw .json(error)
        } catch {
            throw .visit(error as? RequestError ?? .internalError)
        }
    }

    private mutating func deferText() throws(JSONError) -> JSONValue {
        let start = position
        var end = position + 1
        while end < bytes.count, bytes[end] >= 0x20, bytes[end] != 0x22, bytes[end] != 0x5C { end += 1 }
        let isPlain = end < bytes.count && bytes[end] == 0x22
        if isPlain { position = end + 1 } else { _ = try string() }
        deferred = JSONSlice(range: start..<position, isPlain: isPlain)
        return .string("")
    }

    /// The text that stands at a place where one was found before.
    static func text(at slice: JSONSlice, of bytes: [UInt8]) -> [UInt8] {
        if slice.isPlain { return Array(bytes[(slice.range.lowerBound + 1)..<(slice.range.upperBound - 1)]) }
        var reader = JSONReader(bytes: bytes)
        reader.position = slice.range.lowerBound
        return (try? reader.string()).map { Array($0.utf8) } ?? []
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value()
        skipBlanks()
        if position < bytes.count { throw fault("more text after the value") }
        return value
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        skipBlanks()
        guard position < bytes.count else { throw fault("unexpected end") }
        switch bytes[position] {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        case UInt8(ascii: "-"), 0x30...0x39: return try number()
        default: throw fault("unexpected character")
        }
    }

    private mutating func object() throws(JSONError) -> JSONValue {
        try descend()
        var object = JSONObject()
        object.members.reserveCapacity(depth == 1 ? 16 : 4)
        var seen: Set<String> = []
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipBlanks()
                guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                    throw fault("expected a key")
                }
                let start = position
                let key = try string()
                // Short objects are the rule: no set for them.
                if object.members.count == Self.short { seen = Set(object.members.map(\.key)) }
                let isTwice =
                    object.members.count < Self.short ? object[key] != nil : !seen.insert(key).inserted
                if isTwice { throw JSONError(text: "key \"\(key.prefix(100))\" given twice", offset: start) }
                guard take(UInt8(ascii: ":")) else { throw fault("expected ':'") }
                skipBlanks()
                let isDeferred = depth == 2 && key == deferring && position < bytes.count && bytes[position] == 0x22
                object.members.append(.init(key: key, value: isDeferred ? try deferText() : try value()))
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")) else { throw fault("expected ',' or '}'") }
        }
        depth -= 1
        return .object(object)
    }

    private mutating func array() throws(JSONError) -> JSONValue {
        try descend()
        var elements: [JSONValue] = []
        if !take(UInt8(ascii: "]")) {
            repeat { elements.append(try value()) } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else { throw fault("expected ',' or ']'") }
        }
        depth -= 1
        return .array(elements)
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count, bytes[position] >= 0x20, bytes[position] != 0x22, bytes[position] != 0x5C {
            position += 1
        }
        if position < bytes.count, bytes[position] == 0x22 {
            defer { position += 1 }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }
        return try escapedString(prefix: bytes[start..<position])
    }

    private mutating func escapedString(prefix: ArraySlice<UInt8>) throws(JSONError) -> String {
        var text = Array(prefix)
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case 0x22:
                position += 1
                return String(decoding: text, as: UTF8.self)
            case 0x5C: try escape(into: &text)
            case 0x00..<0x20: throw fault("control character in a text")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw fault("text without end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        position += 1
        guard position < bytes.count else { throw fault("text without end") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try hexUnit())
            if code >= 0xD800 && code < 0xDC00 {
                guard position + 1 < bytes.count, bytes[position] == 0x5C, bytes[position + 1] == UInt8(ascii: "u")
                else { throw fault("half of a surrogate pair") }
                position += 2
                let low = UInt32(try hexUnit())
                guard low >= 0xDC00 && low < 0xE000 else { throw fault("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half of a surrogate pair") }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default:
            position -= 1
            throw fault("unknown escape")
        }
    }

    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw fault("text without end") }
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = ASCII.hexValue(bytes[position]) else { throw fault("expected a hex digit") }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let whole = digits()
        if whole.isEmpty { throw fault("expected a digit") }
        if whole.count > 1, whole.first == 0x30 {
            throw JSONError(text: "number with leading zero", offset: start)
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            if digits().isEmpty { throw fault("expected a digit") }
        }
        if position < bytes.count, ASCII.lower(bytes[position]) == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            if digits().isEmpty { throw fault("expected a digit") }
        }
        if isInteger, whole.count <= 18, let value = ASCII.saturatingInteger(whole) {
            return .int(bytes[start] == UInt8(ascii: "-") ? -value : value)
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONError(text: "number out of range", offset: start)
        }
        return .double(value)
    }

    private mutating func digits() -> ArraySlice<UInt8> {
        let start = position
        while position < bytes.count, ASCII.isDigit(bytes[position]) { position += 1 }
        return bytes[start..<position]
    }

    private mutating func word(_ word: String) throws(JSONError) {
        guard bytes[position...].starts(with: word.utf8) else { throw fault("unexpected character") }
        position += word.utf8.count
    }

    private mutating func descend() throws(JSONError) {
        guard depth < Self.deepest else { throw fault("nested deeper than \(Self.deepest)") }
        depth += 1
        position += 1
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipBlanks()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipBlanks() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private func fault(_ text: String) -> JSONError { JSONError(text: text, offset: position) }
}

/// Where a text stands in a JSON document, quotes included.
struct JSONSlice: Sendable, Hashable {
    let range: Range<Int>
    /// It holds no escape: its bytes are the text.
    let isPlain: Bool
}

enum JSONElementsError: Error {
    case json(JSONError)
    /// What the visitor threw.
    case visit(RequestError)
}
