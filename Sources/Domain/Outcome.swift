// What came of one attempt. A failed delivery is data, not an error.

package enum Outcome: Sendable, Hashable {
    case response(Response)
    /// Refused, timed out, blocked …; the reason is for people: it is shown in callbacks and dead letters.
    case noResponse(reason: String)

    package struct Response: Sendable, Hashable {
        package var status: Int
        package var headers: HeaderMap
        /// At most the configured number of bytes, cut as `UTF8Text.withoutCutCharacter` does.
        package var body: [UInt8]

        package init(status: Int, headers: HeaderMap = [:], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    package static func response(status: Int, headers: HeaderMap = [:], body: [UInt8] = []) -> Outcome {
        .response(Response(status: status, headers: headers, body: body))
    }

    package var response: Response? {
        switch self {
        case .response(let response): response
        case .noResponse: nil
        }
    }

    /// 0 without a response.
    package var status: Int { response?.status ?? 0 }

    /// 2xx and nothing else (contract delivery.md §3).
    package var isSuccess: Bool { (200...299).contains(status) }

    /// The receiver asked for no further attempt: status 489 *and* the header.
    package var isNonRetryable: Bool {
        guard let response, response.status == 489 else { return false }
        return response.headers["Upstash-Nonretryable-Error"].contains {
            ASCII.equalIgnoringCase(ASCII.trimmed($0), "true")
        }
    }

    /// One line for people, empty for a success.
    package var errorText: String {
        switch self {
        case .response(let response): isSuccess ? "" : HTTPStatus.text(response.status)
        case .noResponse(let reason): reason
        }
    }
}
