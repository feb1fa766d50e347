/// What goes into the HTTP client and what comes out: values without a trace of curl.

/// One request, to be sent exactly as it stands: the URL byte for byte, the headers in this order, a body for every
/// method. `Host`, `Content-Length` and nothing else is added.
package struct HTTPExchange: Sendable {
    package var url: String
    package var method: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// From the start, name lookup included, to the last byte of the answer; at least 1.
    package var timeoutMilliseconds: Int
    /// Bytes of the response body that are kept; the rest is read and dropped.
    package var maxResponseBytes: Int
    /// Bytes of response headers beyond which the attempt fails.
    package var maxHeaderBytes: Int

    package init(
        url: String, method: String, headers: [(name: String, value: String)], body: [UInt8],
        timeoutMilliseconds: Int, maxResponseBytes: Int = 1 << 20, maxHeaderBytes: Int = 300_000
    ) {
        (self.url, self.method, self.headers, self.body) = (url, method, headers, body)
        (self.timeoutMilliseconds, self.maxResponseBytes) = (timeoutMilliseconds, maxResponseBytes)
        self.maxHeaderBytes = maxHeaderBytes
    }
}

package struct HTTPResponse: Sendable {
    package var status: Int
    /// Of the final response, as they came; no trailers. Most answers are never asked for their headers.
    fileprivate var headerLines: [UInt8]
    package var body: [UInt8]
    /// True where the body was longer than what is kept.
    package var truncated: Bool

    init(status: Int, headerLines: [UInt8], body: [UInt8], truncated: Bool) {
        (self.status, self.headerLines, self.body, self.truncated) = (status, headerLines, body, truncated)
    }

    /// In the order received, names as they came, values without the blanks around them. Read anew each time.
    package var headers: [(name: String, value: String)] { Self.fields(headerLines) }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var bytes = bytes
        while let first = bytes.first, first == 32 || first == 9 { bytes = bytes.dropFirst() }
        while let last = bytes.last, last == 32 || last == 9 { bytes = bytes.dropLast() }
        return bytes
    }

    static func fields(_ lines: [UInt8]) -> [(name: String, value: String)] {
        lines.split(separator: 10).compactMap { line in
            guard let colon = line.firstIndex(of: 58) else { return nil }
            // A blank before the colon is no part of the name, though no sender may write one (RFC 9112 5.1).
            let name = trimmed(line[..<colon])
            guard !name.isEmpty else { return nil }
            return (
                String(decoding: name, as: UTF8.self), String(decoding: trimmed(line[(colon + 1)...]), as: UTF8.self)
            )
        }
    }
}

package enum HTTPOutcome: Sendable {
    case response(HTTPResponse)
    case failure(HTTPFailure)
}

/// Why there is no response.
package enum HTTPFailure: Sendable, Equatable, CustomStringConvertible {
    case refused
    case unreachable(String)
    case timeout
    case resolve
    case tls(String)
    /// The address guard said no; nothing was sent. The text is the guard's.
    case blocked(String)
    case reset
    /// An answer that is not HTTP, or broken in the middle.
    case malformed(String)
    case headersTooLarge
    case cancelled
    /// This machine has no descriptor or memory left for a connection: no fault of the endpoint, and nothing was sent.
    case exhausted(String)
    case other(String)

    /// For people: it ends up in callbacks and dead letters.
    package var description: String {
        switch self {
        case .refused: "connection refused"
        case .unreachable(let text): text
        case .timeout: "timeout"
        case .resolve: "could not resolve host"
        case .tls(let text): "TLS: \(text)"
        case .blocked(let reason): reason
        case .reset: "connection closed without a complete response"
        case .malformed(let text): "malformed response: \(text)"
        case .headersTooLarge: "response headers too large"
        case .cancelled: "cancelled"
        case .exhausted(let text): text
        case .other(let text): text
        }
    }
}
