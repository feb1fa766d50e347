// A dead letter becomes a new message (contract dlq.md §4).

extension PublishRequest {
    /// The record of the new message: that of the dead letter with what the request's headers say otherwise. It is
    /// created now; delay and deduplication are not repeated.
    ///
    /// - `body`: only looked at where the headers ask to hide it.
    /// - Returns: the record and when it is due.
    package static func retry(
        of record: MessageRecord, body: [UInt8], headers: [HeaderField], context: PublishContext
    ) throws(RequestError) -> (record: MessageRecord, due: Timestamp) {
        let options = PublishOptions(headers.compactMap { PublishOption($0, level: .header) })
        for key in [PublishOptions.Key.cron, .scheduleID, .deduplicationID] {
            if let option = options.single[key] { throw option.error("not allowed on a retry") }
        }
        let reader = OptionReader(
            options: options, now: context.now, limits: context.limits, version: record.version)
        _ = try reader.deduplication()
        var new = record
        new.method = try reader.method() ?? new.method
        new.retries = try reader.retries() ?? new.retries
        new.retryDelay = try reader.retryDelay() ?? new.retryDelay
        new.timeout = try reader.timeout() ?? new.timeout
        new.callback = try reader.callback(depth: 1) ?? new.callback
        new.failureCallback = try reader.failureCallback(depth: 1) ?? new.failureCallback
        new.flowControl = try reader.flowControl() ?? new.flowControl
        new.queue = try reader.queue() ?? new.queue
        // What was hidden stays hidden.
        if let redaction = try reader.redaction() { new.redaction = record.redaction?.union(redaction) ?? redaction }
        if new.redaction?.bodyDigest == nil { new.redaction = new.redaction?.sealing(body) }
        let labels = try reader.labels()
        if !labels.isEmpty { new.labels = labels }
        if new.queue != nil { try reader.refuseDelayedCallbacks() }
        if let option = options.single[.queueName],
            [new.callback, new.failureCallback].contains(where: { $0?.isDelayed == true })
        {
            throw option.error("its callback is delayed, and the next message of a queue would wait for it")
        }
        let forwarded = try reader.forwarded()
        for entry in forwarded.entries where entry.name != "Content-Type" { new.header.set(entry.name, entry.values) }
        if try reader.flag(.headerForward) {
            let source = HeaderSource(
                headers: headers.filter { !ASCII.equalIgnoringCase($0.name, "Content-Type") }, topicDefaults: nil,
                reader: reader)
            try source.addRequestHeaders(to: &new.header, isAuthenticatedByQuery: context.isAuthenticatedByQuery)
        }
        let delay = try reader.delay()
        let due = try reader.notBefore() ?? context.now.adding(seconds: delay ?? 0)
        (new.createdAt, new.notBefore) = (context.now, due)
        return (new, due)
    }

    /// True where the headers ask for a redaction, for which the body must be known.
    package static func asksToRedact(_ headers: [HeaderField]) -> Bool {
        headers.contains { ASCII.equalIgnoringCase($0.name, "upstash-redact-fields") }
    }
}
