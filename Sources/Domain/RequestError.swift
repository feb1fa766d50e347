// What a client is told when a request can't be served. Every text stands in ErrorTexts or is made where the field
// is read; this is only the shape (contract conventions.md §6).

/// An answer of status 400 and above.
package struct RequestError: Error, Sendable {
    package let status: Int
    /// Names the offending field: SDKs show it to the user as it stands.
    package let text: String
    /// In addition to the content type, such as `Allow`.
    package let headers: [HeaderField]

    package init(status: Int, text: String, headers: [HeaderField] = []) {
        self.status = status
        self.text = text
        self.headers = headers
    }

    /// `{"error":"<text>"}`
    package var body: [UInt8] {
        var json = JSONText(capacity: text.utf8.count + 16)
        json.object { $0.field("error", text) }
        return json.bytes
    }
}

extension RequestError: Equatable {
    package static func == (left: RequestError, right: RequestError) -> Bool {
        left.status == right.status && left.text == right.text
            && left.headers.elementsEqual(right.headers) { $0.name == $1.name && $0.value == $1.value }
    }
}

extension RequestError: CustomStringConvertible {
    package var description: String { "\(status) \(text)" }
}
