// How to send the callback of a message: what the publisher's Upstash-Callback-* headers asked for, down to the
// callbacks of callbacks (contract callbacks.md §4).

package struct CallbackSettings: Sendable, Hashable {
    package var url: String
    package var method: Method
    /// Forwarded headers only; the content type is always JSON.
    package var header: HeaderMap
    /// nil = as many as the source message.
    package var retries: Int?
    package var retryDelay: String?
    /// Seconds; nil = the server's maximum.
    package var timeout: Int?
    /// Seconds after the attempt; nil = at once.
    package var delay: Int?
    /// Wins over `delay`.
    package var notBefore: Timestamp?
    package var labels: [String]
    package var flowControl: FlowControl?
    private var nested: Nested
    private var nestedFailure: Nested

    package init(
        url: String, method: Method = .post, header: HeaderMap = [:], retries: Int? = nil, retryDelay: String? = nil,
        timeout: Int? = nil, delay: Int? = nil, notBefore: Timestamp? = nil, labels: [String] = [],
        flowControl: FlowControl? = nil, callback: CallbackSettings? = nil, failureCallback: CallbackSettings? = nil
    ) {
        self.url = url
        self.method = method
        self.header = header
        self.retries = retries
        self.retryDelay = retryDelay
        self.timeout = timeout
        self.delay = delay
        self.notBefore = notBefore
        self.labels = labels
        self.flowControl = flowControl
        nested = Nested(callback)
        nestedFailure = Nested(failureCallback)
    }

    var isDelayed: Bool { notBefore != nil || (delay ?? 0) > 0 }

    /// The callback of the callback message.
    package var callback: CallbackSettings? {
        get { nested.settings }
        set { nested = Nested(newValue) }
    }

    package var failureCallback: CallbackSettings? {
        get { nestedFailure.settings }
        set { nestedFailure = Nested(newValue) }
    }

    /// A struct can't hold itself; an indirect case can.
    private indirect enum Nested: Sendable, Hashable {
        case none
        case some(CallbackSettings)

        init(_ settings: CallbackSettings?) { self = settings.map(Nested.some) ?? .none }

        var settings: CallbackSettings? {
            switch self {
            case .none: nil
            case .some(let settings): settings
            }
        }
    }
}
