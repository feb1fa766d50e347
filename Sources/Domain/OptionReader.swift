// Turns the texts of publish options into values. Every error names the header as the client wrote it, whole, so that
// an option of a callback's callback is found.

struct OptionReader {
    let options: PublishOptions
    let now: Timestamp
    let limits: Limits
    let version: APIVersion
    /// Callbacks of callbacks. The contract knows no bound; ours keeps a record readable, which nests as deep.
    private static let deepest = 40

    func method() throws(RequestError) -> Method? {
        guard let option = options.single[.method] else { return nil }
        guard let method = Method(anyCase: option.value) else {
            throw option.error("\(quoted(option)) is not one of GET, POST, PUT, PATCH, DELETE")
        }
        return method
    }

    func retries() throws(RequestError) -> Int? {
        guard let option = options.single[.retries] else { return nil }
        guard let retries = ASCII.saturatingInteger(option.value.utf8) else {
            throw option.error("\(quoted(option)) is not a whole number")
        }
        if retries > limits.maxRetries { throw .quota("maxRetries", limit: limits.maxRetries) }
        return Int(clamping: retries)
    }

    func retryDelay() throws(RequestError) -> String? {
        guard let option = options.single[.retryDelay] else { return nil }
        do {
            _ = try RetryDelayExpression(option.value)
        } catch {
            throw option.error(error.text)
        }
        return option.value
    }

    func timeout() throws(RequestError) -> Int? {
        guard let option = options.single[.timeout] else { return nil }
        let seconds = try duration(option)
        if seconds == 0 { throw option.error("must be more than 0") }
        if seconds > limits.maxTimeout { throw .quota("maxTimeout", limit: limits.maxTimeout) }
        return Int(clamping: seconds)
    }

    /// Seconds.
    func delay() throws(RequestError) -> Int64? {
        guard let option = options.single[.delay] else { return nil }
        let seconds = try duration(option)
        if seconds > limits.maxDelay { throw .quota("maxDelay", limit: limits.maxDelay) }
        return seconds
    }

    func notBefore() throws(RequestError) -> Timestamp? {
        guard let option = options.single[.notBefore] else { return nil }
        do {
            return try NotBefore.parse(option.value, now: now, maxDelay: limits.maxDelay)
        } catch {
            switch error {
            case .unreadable: throw option.error("\(quoted(option)) is not a Unix time in seconds")
            case .tooFar: throw .quota("maxDelay", limit: limits.maxDelay)
            }
        }
    }

    /// Nil without `Upstash-Cron`.
    func schedule(delay: Int64?) throws(RequestError) -> ScheduleRequest? {
        let id = options.single[.scheduleID]
        if let id, !NameGrammar.matches(id.value.utf8) {
            throw id.error("only letters, digits, '-', '_' and '.' are allowed, at most \(NameGrammar.longest)")
        }
        guard let option = options.single[.cron] else { return nil }
        if let notBefore = options.single[.notBefore] { throw notBefore.misplaced("not allowed on a schedule") }
        do {
            return ScheduleRequest(
                cron: try CronExpression(option.value, now: now), id: id?.value, delay: delay == 0 ? nil : delay)
        } catch {
            throw .cron(error.text)
        }
    }

    func queue() throws(RequestError) -> String? {
        guard let option = options.single[.queueName] else { return nil }
        guard NameGrammar.matches(option.value.utf8) else {
            throw option.error("only letters, digits, '-', '_' and '.' are allowed, at most \(NameGrammar.longest)")
        }
        return option.value
    }

    func flowControl() throws(RequestError) -> FlowControl? {
        let key = options.single[.flowControlKey]
        let value = options.single[.flowControlValue]
        guard let key, let value else {
            if let one = key ?? value { throw one.error("Upstash-Flow-Control-Key and -Value must be given together") }
            return nil
        }
        guard key.value.utf8.count <= limits.maxFlowControlKeyBytes else {
            throw key.error("longer than \(limits.maxFlowControlKeyBytes) bytes")
        }
        guard HeaderName.isValidValue(key.value) else { throw key.error(HeaderName.valueRule) }
        do {
            return try FlowControl.parse(key: key.value, value: value.value, maxPeriod: limits.maxFlowControlPeriod)
        } catch {
            throw value.error(error.text)
        }
    }

    func labels() throws(RequestError) -> [String] {
        guard let option = options.single[.label] else { return [] }
        let labels = Labels.parse(option.value)
        guard labels.allSatisfy(HeaderName.isValidValue) else { throw option.error(HeaderName.valueRule) }
        return labels
    }

    func flag(_ key: PublishOptions.Key) throws(RequestError) -> Bool {
        guard let option = options.single[key] else { return false }
        guard let value = Booleans.parse(option.value) else {
            throw option.error("\(quoted(option)) is not a boolean")
        }
        return value
    }

    func callback(depth: Int) throws(RequestError) -> CallbackSettings? {
        try settings(at: options.single[.callback], options: options.callback, depth: depth)
    }

    /// A feature of v2: on v1 its headers are ignored.
    func failureCallback(depth: Int) throws(RequestError) -> CallbackSettings? {
        switch version {
        case .v1: nil
        case .v2: try settings(at: options.single[.failureCallback], options: options.failureCallback, depth: depth)
        }
    }

    /// With both headers the explicit id wins.
    func deduplication() throws(RequestError) -> Deduplication? {
        let byContent = try flag(.contentBasedDeduplication)
        guard let option = options.single[.deduplicationID] else { return byContent ? .content : nil }
        if option.value.utf8.contains(UInt8(ascii: ":")) { throw .deduplicationColon }
        if option.value.unicodeScalars.contains(where: \.properties.isWhitespace) { throw .deduplicationBlank }
        return .id(option.value)
    }

    func redaction() throws(RequestError) -> Redaction? {
        guard let option = options.single[.redactFields] else { return nil }
        guard let redaction = Redaction(option.value) else {
            throw option.error("\(quoted(option)) is not a list of body, header, header[Name]")
        }
        return redaction
    }

    /// Options without a URL configure nothing, but are read all the same: a mistake in them is a mistake.
    private func settings(
        at url: PublishOption?, options: [PublishOption], depth: Int
    ) throws(RequestError) -> CallbackSettings? {
        guard let any = url ?? options.first else { return nil }
        if depth > Self.deepest { throw any.error("nested deeper than \(Self.deepest)") }
        let reader = OptionReader(options: PublishOptions(options), now: now, limits: limits, version: version)
        try reader.refuseForbidden()
        var settings = CallbackSettings(url: "")
        settings.method = try reader.method() ?? .post
        settings.header = try reader.forwarded()
        settings.header.remove("Content-Type")
        settings.retries = try reader.retries()
        settings.retryDelay = try reader.retryDelay()
        settings.timeout = try reader.timeout()
        settings.delay = try reader.delay().map { Int(clamping: $0) }
        settings.notBefore = try reader.notBefore()
        settings.labels = try reader.labels()
        settings.flowControl = try reader.flowControl()
        _ = try reader.flag(.headerForward)
        settings.callback = try reader.callback(depth: depth + 1)
        settings.failureCallback = try reader.failureCallback(depth: depth + 1)
        guard let url else { return nil }
        settings.url = try absoluteURL(url)
        return settings
    }

    /// The next message of a queue waits for the callbacks of the one before: a delay there would stop the line
    /// (contract callbacks.md §4).
    func refuseDelayedCallbacks() throws(RequestError) {
        for option in options.callback + options.failureCallback {
            let name = ASCII.lowercased(String(option.name))
            guard name == "delay" || name == "not-before" else { continue }
            if name == "delay", DurationText.parse(option.value) == 0 { continue }
            throw option.misplaced("not allowed for a message of a queue: the next one would wait for it")
        }
    }

    private func refuseForbidden() throws(RequestError) {
        for key in PublishOptions.forbiddenOnCallbacks {
            guard let option = options.single[key] else { continue }
            switch key {
            case .contentBasedDeduplication: if try !flag(key) { continue }
            default: break
            }
            throw option.error("not supported on callbacks")
        }
    }

    private func absoluteURL(_ option: PublishOption) throws(RequestError) -> String {
        do {
            return try DestinationURL.read(option.value, limits: limits)
        } catch {
            let prefix = "invalid destination url: "
            let text = error.text
            throw option.error(text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)
        }
    }

    private func duration(_ option: PublishOption) throws(RequestError) -> Int64 {
        guard let seconds = DurationText.parse(option.value) else {
            throw option.error("\(quoted(option)) is not a duration")
        }
        return seconds
    }

    private func quoted(_ option: PublishOption) -> String {
        "\"\(option.value.unicodeScalars.count > 100 ? String(option.value.prefix(100)) + "…" : option.value)\""
    }
}
