// Reads the headers of a publish (contract publish.md §3 to §5, callbacks.md §4).

extension PublishRequest {
    /// Throws 400 for anything malformed; where nothing is, 412 over a limit, 413 for a body over it.
    ///
    /// - `headers`: all headers of the request in their order.
    /// - `query`: configuration from the query, as `DestinationParser` cut it out.
    /// - `topicDefaults`: default headers of the topic, the weakest level.
    package static func parse(
        destination: Destination, headers: [HeaderField], query: [HeaderField] = [],
        topicDefaults: HeaderMap? = nil, body: [UInt8], context: PublishContext
    ) throws(RequestError) -> PublishRequest {
        func read(_ context: PublishContext) throws(RequestError) -> PublishRequest {
            try Self.read(
                destination: destination, headers: headers, query: query, topicDefaults: topicDefaults, body: body,
                context: context)
        }
        do {
            return try read(context)
        } catch {
            // Reading ended there, and what stands behind may be malformed: that counts more, since in a batch it
            // fails the other items, too (publish.md §8).
            if error.concernsOneItem { _ = try read(context.withoutLimits) }
            throw error
        }
    }

    private static func read(
        destination: Destination, headers: [HeaderField], query: [HeaderField], topicDefaults: HeaderMap?,
        body: [UInt8], context: PublishContext
    ) throws(RequestError) -> PublishRequest {
        let limits = context.limits
        if case .url(let url) = destination { try context.policy.check(url: url) }
        let options = PublishOptions(
            headers.compactMap { PublishOption($0, level: .header) }
                + query.compactMap { PublishOption($0, level: .query) }
                + (topicDefaults?.fields ?? []).compactMap { PublishOption($0, level: .topicDefault) })
        let reader = OptionReader(options: options, now: context.now, limits: limits, version: context.version)
        var settings = MessageSettings()
        settings.method = try reader.method() ?? .post
        settings.retries = try reader.retries() ?? Int(clamping: limits.defaultRetries)
        settings.retryDelay = try reader.retryDelay()
        settings.timeout = try reader.timeout()
        settings.labels = try reader.labels()
        settings.callback = try reader.callback(depth: 1)
        settings.failureCallback = try reader.failureCallback(depth: 1)
        settings.flowControl = try reader.flowControl()
        settings.queue = try reader.queue()
        settings.redaction = try reader.redaction()
        if let queue = context.queue {
            try NameGrammar.check(queue, kind: "queue")
            settings.queue = queue
        }
        if settings.queue != nil { try reader.refuseDelayedCallbacks() }
        let source = HeaderSource(headers: headers, topicDefaults: topicDefaults, reader: reader)
        settings.header = try source.header(isAuthenticatedByQuery: context.isAuthenticatedByQuery)
        let delay = try reader.delay()
        let schedule = try reader.schedule(delay: delay)
        settings.trace = schedule == nil ? TraceContext(headers: headers) : nil
        // A delay is measured from the latest that now can be, so that it is never shorter than asked.
        let now = (delay ?? 0) > 0 ? context.latest : context.now
        let notBefore = try reader.notBefore() ?? now.adding(seconds: delay ?? 0)
        if body.count > limits.maxMessageBytes { throw .messageTooLarge(limit: limits.maxMessageBytes) }
        return PublishRequest(
            destination: destination, settings: settings, body: body, version: context.version,
            callerIP: context.callerIP, createdAt: now, notBefore: notBefore,
            deduplication: try reader.deduplication(), schedule: schedule)
    }

    /// The default headers of a topic, checked as a publish would read them. Blank values are dropped; names that are
    /// no publish header, and those that make no sense as a default, are refused.
    package static func checkedDefaults(
        _ headers: HeaderMap, now: Timestamp, limits: Limits = Limits()
    ) throws(RequestError) -> HeaderMap {
        var checked: HeaderMap = [:]
        for entry in headers.entries {
            let values = entry.values.map(ASCII.trimmed).filter { !$0.isEmpty }
            checked.set(entry.name, values)
            let isOption = ASCII.hasPrefixIgnoringCase(entry.name.utf8, "upstash-".utf8)
            if !isOption && entry.name != "Content-Type" { throw .header(entry.name, "not a publish header") }
        }
        let options = PublishOptions(checked.fields.compactMap { PublishOption($0, level: .topicDefault) })
        if let option = options.unknown.first { throw option.error("not a publish header") }
        for key in [PublishOptions.Key.cron, .scheduleID, .deduplicationID] {
            if let option = options.single[key] { throw option.error("not allowed as a default of a topic") }
        }
        let context = PublishContext(
            version: .v2, now: now, callerIP: "", limits: limits, policy: AddressPolicy())
        _ = try parse(
            destination: .topic("defaults"), headers: [], topicDefaults: checked, body: [], context: context)
        return checked
    }
}
