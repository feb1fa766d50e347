// The fixed errors of the contract (conventions.md §6, errors.json), each in one place: existing code greps for them.

extension RequestError {
    package static let invalidToken = RequestError(status: 401, text: "unable to authenticate: invalid token")
    package static let missingToken = RequestError(status: 401, text: "unable to authenticate: missing token")
    package static let readOnlyToken = RequestError(
        status: 403, text: "read-only token cannot perform this operation")
    package static func tokenScope(_ scope: String) -> RequestError {
        RequestError(status: 403, text: "token cannot perform this operation: it needs the scope \(scope)")
    }
    package static let emptyDestination = RequestError(status: 400, text: "a non-empty destination must be provided")
    package static let noScheme = RequestError.destination(
        "endpoint has invalid scheme, add http:// or https://")
    package static let noHost = RequestError.destination("endpoint has no host")
    package static let userInfo = RequestError.destination("user info is not allowed")
    package static let unsupportedDestination = RequestError(status: 400, text: "not supported")
    package static let deduplicationColon = RequestError(
        status: 400, text: "DeduplicationId cannot contain ':'")
    package static let deduplicationBlank = RequestError(
        status: 400, text: "DeduplicationId cannot contain blanks")
    package static let routeNotFound = RequestError(status: 404, text: "not found")
    package static let tooManyLargeRequests = RequestError(
        status: 503, text: "too many large requests at once: try again", headers: [("Retry-After", "1")])
    package static let storageUnavailable = RequestError(status: 503, text: "storage unavailable")
    package static let shuttingDown = RequestError(
        status: 503, text: "storage unavailable: this server is shutting down")
    package static let storageOutcomeUnknown = RequestError(
        status: 503,
        text: "storage unavailable, outcome unknown: use Upstash-Deduplication-Id to retry safely")
    package static let internalError = RequestError(status: 500, text: "internal error")

    package static func badRequest(_ text: String) -> RequestError { RequestError(status: 400, text: text) }

    package static func destination(_ reason: String) -> RequestError {
        .badRequest("invalid destination url: \(reason)")
    }

    package static func header(_ name: String, _ reason: String) -> RequestError {
        .badRequest("invalid \(name): \(reason)")
    }

    package static func methodNotAllowed(allow: String) -> RequestError {
        RequestError(status: 405, text: "method not allowed", headers: [(name: "Allow", value: allow)])
    }

    package static func topicNotFound(_ name: String) -> RequestError {
        RequestError(status: 404, text: "topic \(name) not found")
    }

    package static func messageNotFound(_ id: String) -> RequestError {
        RequestError(status: 404, text: "message \(id) not found")
    }

    package static func queueNotFound(_ name: String) -> RequestError {
        RequestError(status: 404, text: "queue \(name) not found")
    }

    package static func deadLetterNotFound(_ id: String) -> RequestError {
        RequestError(status: 404, text: "dlq message \(id) not found")
    }

    package static func flowNotFound(_ key: String) -> RequestError {
        RequestError(status: 404, text: "flow control key \(key) not found")
    }

    package static func scheduleNotFound(_ id: String) -> RequestError {
        RequestError(status: 404, text: "schedule \(id) not found")
    }

    package static func cron(_ reason: String) -> RequestError { .badRequest("Invalid cron expression \(reason)") }

    package static func topicInUse(_ name: String, by schedule: String) -> RequestError {
        .badRequest("topic \(name) is used by schedule \(schedule)")
    }

    package static func unknownParameter(_ name: String) -> RequestError {
        .badRequest("unknown query parameter: \(name)")
    }

    /// A limit of this server: 412, so that clients see it as permanent. `limit` is in the unit of the limit's name
    /// (seconds, bytes, a count).
    package static func quota(_ name: String, limit: Int64, status: Int = 412) -> RequestError {
        RequestError(status: status, text: "quota \(name) exceeded, current limit: \(limit)")
    }

    package static func messageTooLarge(limit: Int) -> RequestError {
        .quota("maxMessageSize", limit: Int64(limit), status: 413)
    }
}
