// One publish request, read completely: what to send, where, when. Its headers are sorted in PublishOptions and read in
// PublishRequest+parse; nothing here knows how it is stored.

package struct PublishRequest: Sendable, Hashable {
    package var destination: Destination
    package var settings: MessageSettings
    package var body: [UInt8]
    package var version: APIVersion
    package var callerIP: String
    package var createdAt: Timestamp
    /// `createdAt` or later.
    package var notBefore: Timestamp
    package var deduplication: Deduplication?
    /// With `Upstash-Cron`: nothing is sent now, a schedule is made.
    package var schedule: ScheduleRequest?

    /// The messages to store: one for a URL, one for each endpoint of a topic in their order.
    ///
    /// - Parameter topic: the group it was published to, ignored for a URL; without it a publish to a group makes none.
    package func messages(topic: Topic? = nil) -> [NewMessage] {
        switch destination {
        case .url(let url): [message(url: url, topic: nil, endpoint: nil)]
        case .topic: (topic?.endpoints ?? []).map { message(url: $0.url, topic: topic?.name, endpoint: $0.name) }
        }
    }

    private func message(url: String, topic: String?, endpoint: String?) -> NewMessage {
        let record = MessageRecord(
            url: url, method: settings.method, header: settings.header, topic: topic, endpoint: endpoint,
            queue: settings.queue, retries: settings.retries, retryDelay: settings.retryDelay,
            timeout: settings.timeout,
            callback: settings.callback, failureCallback: settings.failureCallback, labels: settings.labels,
            flowControl: settings.flowControl, redaction: settings.redaction?.sealing(body),
            trace: settings.trace, version: version,
            callerIP: callerIP, createdAt: createdAt, notBefore: notBefore)
        return NewMessage(
            id: MessageID.make(now: createdAt), record: record, body: body, due: notBefore,
            dedup: deduplication?.key(of: self, endpoint: topic == nil ? nil : url))
    }
}

/// What makes a publish the creation of a schedule.
package struct ScheduleRequest: Sendable, Hashable {
    package var cron: CronExpression
    /// The client's own; nil = one is made.
    package var id: String?
    /// Seconds, for each run.
    package var delay: Int64?
}

/// What the headers of a publish say about delivery, whatever the destination.
package struct MessageSettings: Sendable, Hashable {
    package var method: Method = .post
    package var header: HeaderMap = [:]
    package var retries = 3
    package var retryDelay: String?
    /// Seconds; nil = the server's maximum.
    package var timeout: Int?
    package var labels: [String] = []
    package var callback: CallbackSettings?
    package var failureCallback: CallbackSettings?
    package var queue: String?
    package var flowControl: FlowControl?
    package var redaction: Redaction?
    /// Of the request that published it; the runs of a schedule have none.
    package var trace: TraceContext?

    package init() {}
}

/// Everything about a publish that does not stand in its headers.
package struct PublishContext: Sendable {
    package var version: APIVersion
    package var now: Timestamp
    /// What now can be at the latest, as far as the clock is known; not before `now`.
    package var latest: Timestamp
    package var callerIP: String
    /// The token came by `qstash_token`.
    package var isAuthenticatedByQuery: Bool
    /// Of the path; it wins over `Upstash-Queue-Name`.
    package var queue: String?
    package var limits: Limits
    package var policy: AddressPolicy

    package init(
        version: APIVersion, now: Timestamp, latest: Timestamp? = nil, callerIP: String,
        isAuthenticatedByQuery: Bool = false,
        queue: String? = nil,
        limits: Limits = Limits(), policy: AddressPolicy
    ) {
        self.version = version
        self.now = now
        self.latest = latest ?? now
        self.callerIP = callerIP
        self.isAuthenticatedByQuery = isAuthenticatedByQuery
        self.queue = queue
        self.limits = limits
        self.policy = policy
    }

    /// The same for values of any size.
    var withoutLimits: PublishContext {
        var context = self
        context.limits.maxRetries = .max
        context.limits.maxTimeout = .max
        context.limits.maxDelay = .max
        context.limits.maxMessageBytes = .max
        return context
    }
}
