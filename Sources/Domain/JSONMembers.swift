// Typed access to the members of an object of our own, with errors that name the member.

struct JSONMembers {
    private let object: JSONObject
    private let name: String

    init(_ value: JSONValue, of name: String) throws(JSONError) {
        guard let object = value.object else {
            throw JSONError(text: "\(name) is \(value.kind), not an object", offset: nil)
        }
        self.object = object
        self.name = name
    }

    /// nil for absent and null.
    subscript(key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    func fault(_ key: String, _ what: String) -> JSONError {
        JSONError(text: "\(key) of \(name) \(what)", offset: nil)
    }

    func optionalString(_ key: String) throws(JSONError) -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.string else { throw fault(key, "is \(value.kind), not a text") }
        return text
    }

    func string(_ key: String) throws(JSONError) -> String {
        guard let text = try optionalString(key) else { throw fault(key, "is missing") }
        return text
    }

    func optionalInt(_ key: String) throws(JSONError) -> Int? {
        guard let value = self[key] else { return nil }
        guard let number = value.int else { throw fault(key, "is \(value.kind), not a whole number") }
        return Int(clamping: number)
    }

    func int(_ key: String) throws(JSONError) -> Int {
        guard let number = try optionalInt(key) else { throw fault(key, "is missing") }
        return number
    }

    func optionalTime(_ key: String) throws(JSONError) -> Timestamp? {
        try optionalInt(key).map { Timestamp(milliseconds: Int64($0)) }
    }

    func time(_ key: String) throws(JSONError) -> Timestamp {
        guard let time = try optionalTime(key) else { throw fault(key, "is missing") }
        return time
    }

    /// Empty where absent.
    func strings(_ key: String) throws(JSONError) -> [String] {
        guard let value = self[key] else { return [] }
        guard let elements = value.array else { throw fault(key, "is \(value.kind), not an array") }
        var texts: [String] = []
        for element in elements {
            guard let text = element.string else { throw fault(key, "holds \(element.kind)") }
            texts.append(text)
        }
        return texts
    }

    /// Empty where absent.
    func header(_ key: String) throws(JSONError) -> HeaderMap {
        guard let value = self[key] else { return [:] }
        return try HeaderMap(json: value)
    }
}
