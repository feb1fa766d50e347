// What one run of a schedule does, decided before the script that does it.

extension Schedule {
    /// One run: the messages to store and when the next one comes.
    package struct Run: Sendable {
        package var messages: [NewMessage]
        /// Nil where the expression never matches again.
        package var next: Timestamp?
        /// Runs that passed while nobody looked, of which this one stands for all.
        package var missed: Int64
        /// Why nothing is published this time.
        package var error: String?

        package init(messages: [NewMessage], next: Timestamp?, missed: Int64, error: String? = nil) {
            (self.messages, self.next, self.missed, self.error) = (messages, next, missed, error)
        }
    }

    /// More missed runs than this are not counted one by one.
    private static let mostCounted: Int64 = 1_000_000

    /// - Parameters:
    ///   - now: the moment of the run, not before `next`.
    ///   - topic: as it is now; nil where it does not exist, ignored for a URL.
    package func run(at now: Timestamp, topic: Topic?) -> Run {
        let expression: CronExpression
        do {
            expression = try CronExpression(cron, now: now)
        } catch {
            return Run(messages: [], next: nil, missed: 0, error: "Invalid cron expression \(error.text)")
        }
        var missed: Int64 = 0
        var following = expression.next(after: next)
        while let time = following, time <= now {
            missed += 1
            following = missed < Self.mostCounted ? expression.next(after: time) : expression.next(after: now)
        }
        if let name = template.topic, topic == nil {
            return Run(messages: [], next: following, missed: missed, error: "topic \(name) not found")
        }
        return Run(messages: messages(at: now, topic: topic), next: following, missed: missed)
    }

    private func messages(at now: Timestamp, topic: Topic?) -> [NewMessage] {
        guard template.topic != nil else { return [message(url: template.url, endpoint: nil, at: now)] }
        return (topic?.endpoints ?? []).map { message(url: $0.url, endpoint: $0.name, at: now) }
    }

    private func message(url: String, endpoint: String?, at now: Timestamp) -> NewMessage {
        var record = template
        (record.url, record.endpoint, record.createdAt) = (url, endpoint, now)
        record.notBefore = now.adding(seconds: delay ?? 0)
        return NewMessage(id: MessageID.make(now: now), record: record, body: body, due: record.notBefore)
    }
}
