// Members of objects: a key and a value in one call, left out where the contract says "if any".

extension JSONText {
    package mutating func field(_ name: String, _ value: String) {
        key(name)
        string(value)
    }

    package mutating func field(_ name: String, _ value: Int64) {
        key(name)
        int(value)
    }

    package mutating func field(_ name: String, _ value: Int) { field(name, Int64(value)) }

    package mutating func field(_ name: String, _ value: Timestamp) { field(name, value.milliseconds) }

    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }

    package mutating func field(_ name: String, _ value: HeaderMap) {
        key(name)
        header(value)
    }

    package mutating func field(_ name: String, ifAny value: String?) {
        if let value { field(name, value) }
    }

    package mutating func field(_ name: String, ifAny value: Int?) {
        if let value { field(name, value) }
    }

    package mutating func field(_ name: String, ifAny values: [String]) {
        guard !values.isEmpty else { return }
        key(name)
        strings(values)
    }

    package mutating func strings(_ values: [String]) {
        array { json in
            for value in values { json.string(value) }
        }
    }

    /// `{"Name":["value"]}`
    package mutating func header(_ map: HeaderMap) {
        object { json in
            for entry in map.entries {
                json.key(entry.name)
                json.strings(entry.values)
            }
        }
    }

    /// `name` with the text where the bytes are valid UTF-8, `nameBase64` otherwise, neither when there are none
    /// (contract conventions.md §2).
    package mutating func body(_ name: String, _ value: [UInt8]) {
        if value.isEmpty { return }
        if UTF8Text.isValid(value) {
            key(name)
            string(validUTF8: value)
        } else {
            key(name + "Base64")
            base64(value)
        }
    }
}

extension HeaderMap {
    /// `{"Name":["value"]}` as bytes.
    package var json: [UInt8] {
        var json = JSONText()
        json.header(self)
        return json.bytes
    }
}
