// Which messages a list or a bulk act is about: OR within a filter, AND across filters (contract conventions.md §4).
// It works on real values, redacted or not.

package struct MessageFilter: Sendable {
    /// `messageId` and `messageIds`: where both are given, both must name it.
    var messageID: Set<String>?
    var messageIDs: Set<String>?
    var urls: Set<String>?
    var hosts: Set<String>?
    var paths: Set<String>?
    var topics: Set<String>?
    var schedules: Set<String>?
    var queues: Set<String>?
    var labels: Set<String>?
    var flowKeys: Set<String>?
    var callers: Set<String>?
    /// Of a log entry.
    package var states: Set<String>?
    /// Of a dead letter.
    var responseStatuses: Set<String>?
    package var selectsNothing = false

    package init() {}

    /// A value counts both whole and split at its commas: URLs and flow keys may contain one.
    mutating func add(_ value: String, to path: WritableKeyPath<MessageFilter, Set<String>?>) {
        var values = self[keyPath: path] ?? []
        values.insert(value)
        if value.contains(",") { values.formUnion(value.split(separator: ",").map { ASCII.trimmed(String($0)) }) }
        self[keyPath: path] = values
    }

    /// True where every message passes, so that nothing needs to be looked at.
    package var isEmpty: Bool {
        !selectsNothing && onlyMessageIDs == nil && !needsRecord && states == nil && responseStatuses == nil
    }

    /// The ids that alone may pass; nil for any.
    package var onlyMessageIDs: Set<String>? {
        guard let messageID, let messageIDs else { return messageID ?? messageIDs }
        return messageID.intersection(messageIDs)
    }

    /// True where the id, the state and the status alone do not tell.
    package var needsRecord: Bool {
        [urls, hosts, paths, topics, schedules, queues, labels, flowKeys, callers].contains { $0 != nil }
    }

    package func passes(id: String) -> Bool { !selectsNothing && (onlyMessageIDs?.contains(id) ?? true) }

    package func passes(status: String) -> Bool { responseStatuses?.contains(status) ?? true }

    package func passes(_ state: LogState) -> Bool {
        states?.contains { state.matches(filter: $0) } ?? true
    }

    package func passes(_ record: MessageRecord) -> Bool {
        func has(_ allowed: Set<String>?, _ value: String?) -> Bool {
            guard let allowed else { return true }
            return value.map(allowed.contains) ?? false
        }
        guard has(topics, record.topic), has(schedules, record.schedule), has(queues, record.queue),
            has(flowKeys, record.flowControl?.key), has(callers, record.callerIP)
        else { return false }
        if let labels, labels.isDisjoint(with: record.labels) { return false }
        return passes(url: record.url)
    }

    /// For an entry of which only the URL is known.
    package func passes(onlyURL url: String) -> Bool {
        let others = [topics, schedules, queues, labels, flowKeys, callers].allSatisfy { $0 == nil }
        return others && passes(url: url)
    }

    private func passes(url: String) -> Bool {
        if let urls, !urls.contains(url) { return false }
        guard hosts != nil || paths != nil else { return true }
        let rest = url.utf8.drop { $0 != UInt8(ascii: ":") }.dropFirst(3)
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        if let hosts {
            let host = String(Substring(authority))
            guard hosts.contains(where: { ASCII.equalIgnoringCase($0, host) }) else { return false }
        }
        if let paths {
            let path = rest.dropFirst(authority.count).prefix { $0 != UInt8(ascii: "?") }
            guard paths.contains(path.isEmpty ? "/" : String(Substring(path))) else { return false }
        }
        return true
    }
}
