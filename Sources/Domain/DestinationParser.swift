// Reads where to publish from the raw request target after the fixed prefix (contract publish.md §2 and §3). Works on
// bytes: no layer before may have merged slashes or decoded anything.

package enum Destination: Sendable, Hashable {
    /// Absolute, scheme in lower case, otherwise byte for byte as given.
    case url(String)
    /// A URL group by its name.
    case topic(String)
}

package struct ParsedDestination: Sendable {
    package var destination: Destination
    /// `upstash-*` parameters in order, names in lower case, values form decoded.
    package var query: [HeaderField] = []
    package var token: String?
}

package enum DestinationParser {
    /// - `remainder`: everything after `/v2/publish/`, query included.
    package static func parse(
        remainder: some StringProtocol, limits: Limits = Limits()
    ) throws(RequestError) -> ParsedDestination {
        let bytes = Array(remainder.utf8)
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        var path = Array(bytes[..<mark])
        if path.isEmpty { throw .emptyDestination }
        if ASCII.hasPrefixIgnoringCase(path, "http%3A".utf8) || ASCII.hasPrefixIgnoringCase(path, "https%3A".utf8) {
            // A `#` that arrived encoded stays encoded: decoded it would cut the URL.
            path = Percent.encode(Percent.decode(path)) { Percent.isIllegalInURL($0) || $0 == UInt8(ascii: "#") }
        }
        let query = SplitQuery(bytes[mark...].dropFirst())
        let parsed = { (destination: Destination) in
            ParsedDestination(destination: destination, query: query.configuration, token: query.token)
        }
        guard isURL(path) else { return parsed(.topic(try topic(Percent.decode(path)))) }
        if mark < bytes.endIndex, !query.isConsumed {
            path.append(path.contains(UInt8(ascii: "?")) ? UInt8(ascii: "&") : UInt8(ascii: "?"))
            path.append(contentsOf: query.rest)
        }
        guard let url = try DestinationURL.read(path, mended: true, maxBytes: limits.maxURLBytes) else {
            throw .noScheme
        }
        return parsed(.url(url))
    }

    /// The destination of a batch item: not percent-encoded, no outer query.
    package static func parse(plain text: String, limits: Limits = Limits()) throws(RequestError) -> Destination {
        let bytes = Array(text.utf8)
        if bytes.isEmpty { throw .emptyDestination }
        if let url = try DestinationURL.read(bytes, mended: true, maxBytes: limits.maxURLBytes) { return .url(url) }
        return .topic(try topic(bytes))
    }

    private static func isURL(_ path: [UInt8]) -> Bool {
        ASCII.hasPrefixIgnoringCase(path, "http:/".utf8) || ASCII.hasPrefixIgnoringCase(path, "https:/".utf8)
    }

    private static func topic(_ decoded: [UInt8]) throws(RequestError) -> String {
        if decoded.starts(with: "api/".utf8) { throw .unsupportedDestination }
        guard NameGrammar.matches(decoded) else { throw .noScheme }
        return String(decoding: decoded, as: UTF8.self)
    }
}

/// A raw query, parted into what is ours and what belongs to the destination.
private struct SplitQuery {
    var configuration: [HeaderField] = []
    var token: String?
    /// Raw parameters of the destination, joined by `&` as they were.
    var rest: [UInt8] = []
    /// Everything was ours: the destination gets no `?` at all.
    var isConsumed = false

    init(_ query: ArraySlice<UInt8>) {
        var kept: [ArraySlice<UInt8>] = []
        var isOurs = false
        for part in query.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let name = Percent.decode(part[..<equals], form: true)
            let isToken = ASCII.equalIgnoringCase(name, "qstash_token".utf8)
            guard isToken || ASCII.hasPrefixIgnoringCase(name, "upstash-".utf8) else {
                kept.append(part)
                continue
            }
            isOurs = true
            let value = String(decoding: Percent.decode(part[equals...].dropFirst(), form: true), as: UTF8.self)
            if !isToken {
                configuration.append((name: String(decoding: name.map(ASCII.lower), as: UTF8.self), value: value))
            } else if token == nil {
                token = value
            }
        }
        isConsumed = isOurs && kept.isEmpty
        rest = Array(kept.joined(separator: [UInt8(ascii: "&")]))
    }
}
