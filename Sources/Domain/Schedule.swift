// A schedule: what is published, and when (contract schedules.md). The rules of its runs are in Schedule+runs, its JSON
// in Schedule+json.

package struct Schedule: Sendable, Hashable {
    /// How a message of the last run stands.
    package enum State: String, Sendable, Hashable {
        case inProgress = "IN_PROGRESS"
        case success = "SUCCESS"
        case fail = "FAIL"
    }

    package var id: String
    /// As given, trimmed.
    package var cron: String
    /// What each message of a run is made from. Its url is empty where `topic` says where it goes.
    package var template: MessageRecord
    package var body: [UInt8]
    /// Seconds between a run and the time its messages are due.
    package var delay: Int64?
    package var createdAt: Timestamp
    package var isPaused: Bool
    /// The exact cron time; for a paused one the last that was planned.
    package var next: Timestamp
    /// When it really ran last.
    package var last: Timestamp?
    /// By message id.
    package var states: [(id: String, state: State)]
    /// Why the last run could not be published.
    package var error: String?
    /// As the store knows it, compared as text; "" before the first store.
    package var revision: String

    package init(
        id: String, cron: String, template: MessageRecord, body: [UInt8], delay: Int64?, createdAt: Timestamp,
        isPaused: Bool = false, next: Timestamp, last: Timestamp? = nil, states: [(id: String, state: State)] = [],
        error: String? = nil, revision: String = ""
    ) {
        (self.id, self.cron, self.template, self.body, self.delay) = (id, cron, template, body, delay)
        (self.createdAt, self.isPaused, self.next, self.last) = (createdAt, isPaused, next, last)
        (self.states, self.error, self.revision) = (states, error, revision)
    }

    /// The URL, or the name of the topic.
    package var destination: String { template.topic ?? template.url }

    package static func == (left: Schedule, right: Schedule) -> Bool {
        left.id == right.id && left.revision == right.revision && left.next == right.next
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension PublishRequest {
    /// The schedule this request creates; nil without `Upstash-Cron`.
    package func newSchedule() -> Schedule? {
        guard let schedule, let next = schedule.cron.next(after: createdAt) else { return nil }
        let id = schedule.id ?? ScheduleID.make()
        let (url, topic): (String, String?)
        switch destination {
        case .url(let text): (url, topic) = (text, nil)
        case .topic(let name): (url, topic) = ("", name)
        }
        let template = MessageRecord(
            url: url, method: settings.method, header: settings.header, topic: topic, queue: settings.queue,
            schedule: id,
            retries: settings.retries, retryDelay: settings.retryDelay, timeout: settings.timeout,
            callback: settings.callback, failureCallback: settings.failureCallback, labels: settings.labels,
            flowControl: settings.flowControl, redaction: settings.redaction?.sealing(body), version: version,
            callerIP: callerIP, createdAt: createdAt,
            notBefore: createdAt)
        return Schedule(
            id: id, cron: schedule.cron.text, template: template, body: body, delay: schedule.delay,
            createdAt: createdAt, next: next)
    }
}
