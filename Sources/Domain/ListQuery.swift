// The query of a list or of a bulk act (contract conventions.md §4): filters, range, order, page. A name that is not
// known is refused, because a mistyped filter on a bulk delete would hit everything.

package struct ListQuery: Sendable {
    /// What is listed, and so which filters there are and how `count` is bounded.
    package enum Subject: Sendable {
        case messages, dead
        /// - Parameter defaultCount: where `count` is not given.
        case log(defaultCount: Int)
        case groupedLog
    }

    package enum Order: String, Sendable { case latestFirst, earliestFirst }

    package enum Cursor: Sendable, Equatable {
        /// Goes on behind this entry, `<ms>-<number>`.
        case behind(String)
        /// Begins at this Unix time in ms, which belongs to the range.
        case time(Int64)
    }

    package var filter = MessageFilter()
    /// `messageIds` or `dlqIds`, in the order given: then no other filter counts. Nil where not given; empty selects
    /// nothing.
    package var ids: [String]?
    /// Unix ms, both inclusive.
    package var from: Int64?
    package var to: Int64?
    package var order = Order.latestFirst
    /// Nil: not given, and there is no default (bulk cancel: everything).
    package var count: Int?
    package var cursor: Cursor?
    /// Bytes that bodies are cut to.
    package var trimBody: Int?

    /// `from` and `to` in ms, both inclusive, as far as a cursor that is a time leaves them; nil = open.
    package var range: (from: Int64?, to: Int64?) {
        guard case .time(let time) = cursor else { return (from, to) }
        return switch order {
        case .latestFirst: (from, min(time, to ?? time))
        case .earliestFirst: (max(time, from ?? time), to)
        }
    }

    /// - `pairs`: decoded names and values in their order.
    package static func read(
        _ pairs: [HeaderField], of subject: Subject, limits: Limits = Limits()
    ) throws(RequestError) -> ListQuery {
        var query = ListQuery()
        var seen: Set<String> = []
        for (name, value) in pairs {
            let isFirst = seen.insert(name).inserted
            if try query.readCommon(name, value, isFirst: isFirst, subject: subject) { continue }
            guard query.readFilter(name, value, subject: subject) else { throw .unknownParameter(name) }
        }
        // Of a list, its parts are looked at.
        for value in query.filter.states ?? [] where !value.contains(",") && !LogState.isFilter(value) {
            let known = LogState.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("invalid state: \"\(cut(value))\" is not one of \(known), IN_PROGRESS")
        }
        for value in query.filter.responseStatuses ?? []
        where !value.contains(",") && ASCII.saturatingInteger(value.utf8) == nil {
            throw .badRequest("invalid responseStatus: \"\(cut(value))\" is not a whole number")
        }
        let (range, standard): (ClosedRange<Int>, Int?) =
            switch subject {
            case .messages: (1...limits.maxBulkCancel, nil)
            case .dead: (1...limits.maxDLQCount, limits.maxDLQCount)
            case .log(let defaultCount): (1...limits.maxLogsCount, defaultCount)
            case .groupedLog: (1...100, 10)
            }
        if let count = query.count, !range.contains(count) {
            throw .badRequest("invalid count: must lie between \(range.lowerBound) and \(range.upperBound)")
        }
        query.count = query.count ?? standard
        return query
    }

    /// Besides the token (contract conventions.md §4).
    package static let alwaysAllowed: Set<String> = ["trimBody", "source", "order"]

    /// For a single dead letter: nothing but what is always allowed.
    package static func read(onlyCommon pairs: [HeaderField]) throws(RequestError) -> ListQuery {
        for (name, _) in pairs where !ASCII.equalIgnoringCase(name, "qstash_token") {
            guard alwaysAllowed.contains(name) else { throw .unknownParameter(name) }
        }
        return try read(pairs, of: .dead)
    }

    /// What every list knows; false for another name.
    private mutating func readCommon(
        _ name: String, _ value: String, isFirst: Bool, subject: Subject
    ) throws(RequestError) -> Bool {
        switch name {
        case "count": count = try Self.integer(name, value)
        case "fromDate": from = Int64(try Self.integer(name, value))
        case "toDate": to = Int64(try Self.integer(name, value))
        case "trimBody": trimBody = try Self.integer(name, value)
        case "order":
            guard let order = Order(rawValue: value) else {
                throw .badRequest("invalid order: \"\(Self.cut(value))\" is not latestFirst or earliestFirst")
            }
            self.order = order
        case "cursor":
            if case .messages = subject { throw .unknownParameter(name) }
            if value.isEmpty { throw .badRequest("invalid cursor: it is empty") }
            cursor = try Self.cursor(value)
        // Workflow messages do not exist here.
        case "source": if value == "workflow" { filter.selectsNothing = true }
        case "groupBy":
            guard case .groupedLog = subject else { return false }
        default:
            return ASCII.equalIgnoringCase(name, "qstash_token")
        }
        if !isFirst { throw .badRequest("\(name) given twice") }
        return true
    }

    /// A multi-value filter: repeated, comma separated, or both.
    private mutating func readFilter(_ name: String, _ value: String, subject: Subject) -> Bool {
        let isLog: Bool
        switch subject {
        case .messages, .dead: isLog = false
        case .log, .groupedLog: isLog = true
        }
        var isDead = false
        if case .dead = subject { isDead = true }
        switch name {
        case "messageId" where isLog || isDead: filter.add(value, to: \.messageID)
        case "messageIds" where isLog: filter.add(value, to: \.messageIDs)
        case "messageIds" where !isDead, "dlqIds" where isDead:
            ids = (ids ?? []) + value.split(separator: ",").map { ASCII.trimmed(String($0)) }.filter { !$0.isEmpty }
        case "url": filter.add(value, to: \.urls)
        case "host" where !isDead: filter.add(value, to: \.hosts)
        case "path" where !isDead: filter.add(value, to: \.paths)
        case "topicName": filter.add(value, to: \.topics)
        case "scheduleId": filter.add(value, to: \.schedules)
        case "queueName": filter.add(value, to: \.queues)
        case "label": filter.add(value, to: \.labels)
        case "flowControlKey": filter.add(value, to: \.flowKeys)
        case "callerIp", "callerIP": filter.add(value, to: \.callers)
        case "state" where isLog: filter.add(value, to: \.states)
        case "responseStatus" where isDead: filter.add(value, to: \.responseStatuses)
        default: return false
        }
        return true
    }

    private static func integer(_ name: String, _ text: String) throws(RequestError) -> Int {
        guard let value = ASCII.saturatingInteger(text.utf8), value <= 9_007_199_254_740_992 else {
            throw .badRequest("invalid \(name): \"\(cut(text))\" is not a whole number from 0")
        }
        return Int(clamping: value)
    }

    private static func cursor(_ text: String) throws(RequestError) -> Cursor {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isNumeric = parts.allSatisfy { (1...16).contains($0.utf8.count) && $0.utf8.allSatisfy(ASCII.isDigit) }
        guard isNumeric, parts.count <= 2, let time = Int64(parts[0]) else {
            throw .badRequest("invalid cursor: \"\(cut(text))\"")
        }
        return parts.count == 2 ? .behind(text) : .time(time)
    }

    private static func cut(_ text: String) -> String {
        text.unicodeScalars.count > 100 ? String(text.prefix(100)) + "…" : text
    }
}
