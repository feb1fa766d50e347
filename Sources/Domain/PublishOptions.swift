// Sorts the headers of a publish by what they configure, before any value is read. The headers of a callback are those
// of a publish with a longer prefix (contract callbacks.md §4), so one level of them sorts like another.

/// One configuration header as given.
struct PublishOption {
    /// Where it came from; lower is stronger (contract publish.md §3).
    enum Level: Int { case header, query, topicDefault }

    /// The whole name, for errors.
    let source: String
    /// What stands after `Upstash-` and the callback prefixes, case as given.
    let name: Substring
    /// Trimmed, never empty: a blank value means "not given".
    let value: String
    let level: Level

    var error: (String) -> RequestError {
        { reason in .header(HeaderName.canonical(source), reason) }
    }
}

/// The options of a message, or of one callback.
struct PublishOptions {
    /// Strongest first; the first one given wins.
    var single: [Key: PublishOption] = [:]
    var labels: [PublishOption] = []
    var forward: [PublishOption] = []
    var callback: [PublishOption] = []
    var failureCallback: [PublishOption] = []
    /// `Upstash-*` names that mean nothing to us, ignored on publish.
    var unknown: [PublishOption] = []

    /// Options with one value.
    enum Key: String {
        case method, delay, retries, timeout, callback, cron
        case notBefore = "not-before"
        case retryDelay = "retry-delay"
        case failureCallback = "failure-callback"
        case headerForward = "header-forward"
        case deduplicationID = "deduplication-id"
        case contentBasedDeduplication = "content-based-deduplication"
        case scheduleID = "schedule-id"
        case queueName = "queue-name"
        case flowControlKey = "flow-control-key"
        case flowControlValue = "flow-control-value"
        case redactFields = "redact-fields"
    }

    /// What makes no sense for a callback (contract callbacks.md §4).
    static let forbiddenOnCallbacks: [Key] = [
        .cron, .scheduleID, .queueName, .deduplicationID, .contentBasedDeduplication, .redactFields,
    ]

    /// - Parameter options: strongest level first.
    init(_ options: [PublishOption]) {
        for option in options { add(option) }
    }

    private mutating func add(_ option: PublishOption) {
        let name = ASCII.lowercased(String(option.name))
        if let key = Key(rawValue: name) {
            if single[key] == nil { single[key] = option }
        } else if name == "label" {
            if labels.isEmpty || (option.level == .header && labels[0].level == .header) { labels.append(option) }
        } else if name.hasPrefix("forward-") {
            forward.append(option.dropping(8))
        } else if name.hasPrefix("callback-") {
            callback.append(option.dropping(9))
        } else if name.hasPrefix("failure-callback-") {
            failureCallback.append(option.dropping(17))
        } else {
            unknown.append(option)
        }
    }
}

extension PublishOption {
    fileprivate func dropping(_ count: Int) -> PublishOption {
        PublishOption(
            source: source, name: Substring(name.utf8.dropFirst(count)), value: value, level: level)
    }

    /// nil where the field is no `Upstash-*` header or its value is blank.
    init?(_ field: HeaderField, level: Level) {
        guard ASCII.hasPrefixIgnoringCase(field.name.utf8, "upstash-".utf8) else { return nil }
        let value = ASCII.trimmed(field.value)
        if value.isEmpty { return nil }
        self.init(source: field.name, name: Substring(field.name.utf8.dropFirst(8)), value: value, level: level)
    }
}
