// What never changes of a message from its publish to its end. Stored as one JSON text in `message:<id>`, field
// `request`; what changes (state, retried …) lives beside it.

/// The API a message was published through: it fixes the form of its callbacks (contract callbacks.md §3).
package enum APIVersion: Int64, Sendable, Hashable { case v1 = 1, v2 = 2 }

/// The methods a delivery may use (contract publish.md §4).
package enum Method: String, Sendable, Hashable, CaseIterable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"

    /// Any case.
    package init?(anyCase text: String) {
        guard text.utf8.count <= 6, let method = Method(rawValue: text.uppercased()) else { return nil }
        self = method
    }
}

/// Limits shared by all messages that carry the same key (contract flow-control.md).
package struct FlowControl: Sendable, Hashable {
    package var key: String
    package var parallelism: Int?
    package var rate: Int?
    /// Seconds.
    package var period: Int

    package init(key: String, parallelism: Int? = nil, rate: Int? = nil, period: Int = 1) {
        self.key = key
        self.parallelism = parallelism
        self.rate = rate
        self.period = period
    }
}

package struct MessageRecord: Sendable, Hashable {
    /// Absolute, exactly as delivered and signed.
    package var url: String
    package var method: Method
    /// What the destination receives besides our own headers: content type and forwarded headers.
    package var header: HeaderMap
    /// The URL group it was published to, and the name of its endpoint there at that time.
    package var topic: String?
    package var endpoint: String?
    package var queue: String?
    package var schedule: String?
    /// Attempts are 1 + retries.
    package var retries: Int
    /// The text of a RetryDelayExpression that was accepted at publish.
    package var retryDelay: String?
    /// Seconds for a whole attempt; nil = the server's maximum.
    package var timeout: Int?
    package var callback: CallbackSettings?
    package var failureCallback: CallbackSettings?
    package var labels: [String]
    package var flowControl: FlowControl?
    /// What of it the API hides.
    package var redaction: Redaction?
    /// Sent with each delivery, unless the publisher forwards a `traceparent` of its own.
    package var trace: TraceContext?
    package var version: APIVersion
    package var callerIP: String
    package var createdAt: Timestamp
    /// Creation or the requested time; retries do not move it.
    package var notBefore: Timestamp

    package init(
        url: String, method: Method = .post, header: HeaderMap = [:], topic: String? = nil, endpoint: String? = nil,
        queue: String? = nil, schedule: String? = nil, retries: Int = 3, retryDelay: String? = nil,
        timeout: Int? = nil, callback: CallbackSettings? = nil, failureCallback: CallbackSettings? = nil,
        labels: [String] = [], flowControl: FlowControl? = nil, redaction: Redaction? = nil,
        trace: TraceContext? = nil, version: APIVersion = .v2, callerIP: String,
        createdAt: Timestamp, notBefore: Timestamp
    ) {
        self.url = url
        self.method = method
        self.header = header
        self.topic = topic
        self.endpoint = endpoint
        self.queue = queue
        self.schedule = schedule
        self.retries = retries
        self.retryDelay = retryDelay
        self.timeout = timeout
        self.callback = callback
        self.failureCallback = failureCallback
        self.labels = labels
        self.flowControl = flowControl
        self.redaction = redaction
        self.trace = trace
        self.version = version
        self.callerIP = callerIP
        self.createdAt = createdAt
        self.notBefore = notBefore
    }

    /// The stream it waits its turn in.
    package var lane: String { Lane.name(of: self) }
}
