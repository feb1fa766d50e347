// Names of topics and queues, and ids given by clients (contract conventions.md §3).

package enum NameGrammar {
    package static let longest = 256

    /// `^[A-Za-z0-9._-]+$`, at most 256.
    package static func matches(_ name: some Collection<UInt8>) -> Bool {
        !name.isEmpty && name.count <= longest && name.allSatisfy(isAllowed)
    }

    /// - `kind`: what the name names, for the error's text: "queue", "topic".
    package static func check(_ name: String, kind: String) throws(RequestError) {
        guard !name.isEmpty, name.utf8.allSatisfy(isAllowed) else {
            throw .badRequest("invalid \(kind) name: only letters, digits, '-', '_' and '.' are allowed")
        }
        if name.utf8.count > longest {
            throw .badRequest("invalid \(kind) name: longer than \(longest) characters")
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        ASCII.isAlphanumeric(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
            || byte == UInt8(ascii: "-")
    }
}
