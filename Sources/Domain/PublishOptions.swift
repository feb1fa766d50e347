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
    var value: String
    let level: Level

    var error: (String) -> RequestError {
        { reason in .header(HeaderName.canonical(source), reason) }
    }

    /// For a value that is right by itself: who sent the request may never have written it.
    func misplaced(_ reason: String) -> RequestError {
        error(level == .topicDefault ? "\(reason); it is a default of the topic" : reason)
    }
}

/// The options of a message, or of one callback.
struct PublishOptions {
    /// Strongest first; the first one given wins.
    var single = Singles()
    var forward: [PublishOption] = []
    var callback: [PublishOption] = []
    var failureCallback: [PublishOption] = []
    /// `Upstash-*` names that mean nothing to us, ignored on publish.
    var unknown: [PublishOption] = []

    /// Few are given: finding one among them is cheaper than hashing it.
    struct Singles {
        private var keys: [Key] = []
        private var options: [PublishOption] = []
        /// A bit for each key that is given: most are asked for in vain.
        private var bits: UInt32 = 0

        subscript(key: Key) -> PublishOption? {
            guard bits & 1 << key.rawValue != 0 else { return nil }
            return keys.firstIndex(of: key).map { options[$0] }
        }

        /// A list given on several lines of a request is one list (RFC 9110 §5.3).
        mutating func add(_ option: PublishOption, as key: Key) {
            guard bits & 1 << key.rawValue == 0 else {
                guard key.isList, option.level == .header, let index = keys.firstIndex(of: key) else { return }
                options[index].value += "," + option.value
                return
            }
            bits |= 1 << key.rawValue
            keys.append(key)
            options.append(option)
        }
    }

    /// Options with one value, which may be a list.
    enum Key: UInt8 {
        case method, delay, retries, timeout, callback, cron
        case notBefore, retryDelay, failureCallback, headerForward, deduplicationID, contentBasedDeduplication
        case scheduleID, queueName, flowControlKey, flowControlValue, redactFields, label

        var isList: Bool { self == .label || self == .redactFields }

        /// - Parameter name: in lower case, without `upstash-`.
        init?(name: String) {
            switch name {
            case "method": self = .method
            case "delay": self = .delay
            case "retries": self = .retries
            case "timeout": self = .timeout
            case "callback": self = .callback
            case "cron": self = .cron
            case "not-before": self = .notBefore
            case "retry-delay": self = .retryDelay
            case "failure-callback": self = .failureCallback
            case "header-forward": self = .headerForward
            case "deduplication-id": self = .deduplicationID
            case "content-based-deduplication": self = .contentBasedDeduplication
            case "schedule-id": self = .scheduleID
            case "queue-name": self = .queueName
            case "flow-control-key": self = .flowControlKey
            case "flow-control-value": self = .flowControlValue
            case "redact-fields": self = .redactFields
            case "label": self = .label
            default: return nil
            }
        }
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
        if let key = Key(name: name) {
            single.add(option, as: key)
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
