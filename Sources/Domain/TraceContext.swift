// The trace a message belongs to (W3C Trace Context): what its publisher sent along, passed on with each delivery and to its
// callbacks. Roost makes no spans, so the parent stays whoever published.

package struct TraceContext: Sendable, Hashable {
    /// `version-traceid-parentid-flags`, as it came.
    package let parent: String
    /// `tracestate`, several of them joined with commas; nil where none came.
    package let state: String?

    /// Nil for a parent that is not valid: it is ignored, and the state with it (W3C Trace Context §3.2 and §4.3).
    package init?(parent: String, state: String? = nil) {
        guard Self.isValid(Array(parent.utf8)) else { return nil }
        self.parent = parent
        self.state = state.flatMap { $0.isEmpty || $0.utf8.count > 512 || !HeaderName.isValidValue($0) ? nil : $0 }
    }

    /// Of the headers of a request; nil where there is no parent, or more than one.
    init?(headers: [HeaderField]) {
        var parent: String?
        var state: [String] = []
        // Both names have their length in common with few others.
        for field in headers where field.name.utf8.count == 11 || field.name.utf8.count == 10 {
            if ASCII.equalIgnoringCase(field.name, "traceparent") {
                if parent != nil { return nil }
                parent = ASCII.trimmed(field.value)
            } else if ASCII.equalIgnoringCase(field.name, "tracestate") {
                state.append(ASCII.trimmed(field.value))
            }
        }
        guard let parent else { return nil }
        self.init(parent: parent, state: state.isEmpty ? nil : state.joined(separator: ","))
    }

    /// Version 00 has exactly four parts; a later one may have more behind another dash.
    private static func isValid(_ text: [UInt8]) -> Bool {
        func isHex(_ range: Range<Int>) -> Bool {
            text[range].allSatisfy { ASCII.isDigit($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
        }
        func isZero(_ range: Range<Int>) -> Bool { text[range].allSatisfy { $0 == UInt8(ascii: "0") } }
        guard text.count >= 55, [2, 35, 52].allSatisfy({ text[$0] == UInt8(ascii: "-") }) else { return false }
        guard isHex(0..<2), isHex(3..<35), isHex(36..<52), isHex(53..<55), !isZero(3..<35), !isZero(36..<52) else {
            return false
        }
        if isZero(0..<2) { return text.count == 55 }
        let isUnknown = text[0] == UInt8(ascii: "f") && text[1] == UInt8(ascii: "f")
        return !isUnknown && text.count <= 512 && (text.count == 55 || text[55] == UInt8(ascii: "-"))
            && text.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
