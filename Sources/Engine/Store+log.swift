/// Reading the log: what happened to messages (`lua/log.lua` writes it).

import Domain
import RedisLink

/// One page of the log.
package struct LogPage: Sendable {
    package var entries: [LogEntry]
    /// Where the list goes on; nil at its end.
    package var next: String?
}

extension Store {
    /// Events looked at for one page at most: then the page ends, with a cursor to go on.
    private static let mostScanned = 200_000
    private static let pageEvents = 500
    private static let mostAnswerBytes = 8 << 20
    /// Messages whose histories are read for one page of groups at most.
    private static let mostHistories = 500

    /// The events that pass, with their requests, bodies and answers.
    package func log(_ query: ListQuery) async throws -> LogPage {
        if query.filter.selectsNothing { return LogPage(entries: []) }
        let most = query.count ?? 100
        var (entries, next) = try await events(query, most: most)
        try await fill(&entries)
        // A page ends where it is too large for one answer.
        var bytes = 0
        if let end = entries.firstIndex(where: { entry in
            defer { bytes += entry.size }
            return bytes > Self.mostAnswerBytes
        }) {
            entries.removeSubrange(end...)
            next = entries.last?.event.ref
        }
        return LogPage(entries: entries, next: next)
    }

    /// When what happened that passes, newest first, `most` events looked at.
    ///
    /// - Returns: the events' times and states, and how far back was looked where there is more.
    package func logTimes(
        _ query: ListQuery, most: Int
    ) async throws -> (events: [(time: Timestamp, state: LogState)], reached: Timestamp?) {
        if query.filter.selectsNothing { return ([], nil) }
        var query = query
        query.order = .latestFirst
        query.count = Self.pageEvents
        var events: [(time: Timestamp, state: LogState)] = []
        var reached: Timestamp?
        try await scanOrFollow(query, atMost: most) { entry in
            events.append((entry.event.time, entry.event.state))
            return true
        } cutOff: { ref in
            reached = Int64(ref.prefix { $0 != "-" }).map { Timestamp(milliseconds: $0) }
        }
        return (events, reached)
    }

    /// The same without bodies, one list for each message whose latest event passes, newest message first.
    package func groupedLog(_ query: ListQuery) async throws -> (messages: [[LogEntry]], next: String?) {
        if query.filter.selectsNothing { return ([], nil) }
        var byMessage = query
        // The state is that of the latest event.
        byMessage.filter.states = nil
        let most = query.count ?? 10
        var messages: [[LogEntry]] = []
        var (last, next): (String?, String?)
        var histories = 0
        try await scanOrFollow(byMessage) { entry in
            // A message stands where it was created, or at the oldest event that is left of it.
            guard entry.event.state == .created || entry.record == nil else { return true }
            if messages.count == most || histories == Self.mostHistories {
                next = last
                return false
            }
            last = entry.event.ref
            histories += 1
            let history = try await self.history(of: entry.event.messageID)
            guard history.last?.event.ref == entry.event.ref, let latest = history.first else { return true }
            if query.filter.passes(latest.event.state) { messages.append(history) }
            return true
        } cutOff: {
            next = $0
        }
        return (messages, next)
    }

    /// All events of one message, latest first, without bodies.
    package func history(of id: String) async throws(StoreError) -> [LogEntry] {
        var entries: [LogEntry] = []
        var from = ""
        repeat {
            let reply = try await scripts.untilAnswered(
                Scripts.logHistory, [.text(id), .text(from), .integer(Int64(Self.pageEvents))],
                deadline: .now + settings.storeTimeout)
            guard reply.count == 4 else { break }
            entries += Self.entries(reply[2], requests: reply[3])
            from = reply[1].string ?? ""
        } while !from.isEmpty
        return entries
    }

    private func events(_ query: ListQuery, most: Int) async throws -> (entries: [LogEntry], next: String?) {
        var entries: [LogEntry] = []
        var next: String?
        var bytes = 0
        try await scanOrFollow(query) { entry in
            bytes += entry.requestBytes
            if entries.count == most || (bytes > Self.mostAnswerBytes && !entries.isEmpty) {
                next = entries.last?.event.ref
                return false
            }
            entries.append(entry)
            return true
        } cutOff: {
            next = $0
        }
        return (entries, next)
    }

    /// Hands over the events that pass, in order, until `visit` answers false. Ids that are named are followed back
    /// through their own histories; everything else means a walk through the log.
    private func scanOrFollow(
        _ query: ListQuery, atMost most: Int = mostScanned, _ visit: (LogEntry) async throws -> Bool,
        cutOff: (String) -> Void = { _ in }
    ) async throws {
        var query = query
        let oldest = clock.now.milliseconds - settings.logRetention.milliseconds
        query.from = max(query.from ?? oldest, oldest)
        guard let ids = query.filter.onlyMessageIDs else {
            return try await scan(query, atMost: most, visit, cutOff: cutOff)
        }
        let (from, to) = query.range
        var found: [LogEntry] = []
        for id in ids {
            for entry in try await history(of: id) {
                let time = entry.event.time.milliseconds
                let isInRange = time >= from ?? .min && time <= to ?? .max
                if isInRange, query.passes(entry), query.isBehindCursor(entry.event) { found.append(entry) }
            }
        }
        found.sort { $0.event.number > $1.event.number }
        if query.order == .earliestFirst { found.reverse() }
        for entry in found {
            guard try await visit(entry) else { return }
        }
    }

    private func scan(
        _ query: ListQuery, atMost most: Int, _ visit: (LogEntry) async throws -> Bool, cutOff: (String) -> Void
    ) async throws {
        var cursor = ""
        if case .behind(let ref) = query.cursor { cursor = ref }
        let (from, to) = query.range
        var scanned = 0
        while true {
            let reply = try await scripts.untilAnswered(
                Scripts.logScan,
                [
                    .text(query.order.rawValue), .text(cursor), .text(from.map { String($0) } ?? ""),
                    .text(to.map { String($0) } ?? ""),
                    .integer(Int64(min(Self.pageEvents, max((query.count ?? 100) + 1, 50)))), .integer(1 << 20),
                ], deadline: .now + settings.storeTimeout)
            guard reply.count == 4 else { return }
            for entry in Self.entries(reply[2], requests: reply[3]) {
                scanned += 1
                cursor = entry.event.ref
                guard query.passes(entry) else { continue }
                guard try await visit(entry) else { return }
            }
            guard reply[1].int64 == 1 else { return }
            if scanned >= most { return cutOff(cursor) }
        }
    }

    /// Reads what a page shows besides the events: bodies, and the answers of failed attempts.
    private func fill(_ entries: inout [LogEntry]) async throws {
        var wanted: Set<String> = []
        for entry in entries {
            if entry.record != nil, !entry.event.created.isEmpty { wanted.insert(entry.event.created) }
            switch entry.event.state {
            case .error: wanted.insert(entry.event.ref)
            // It repeats the answer of the attempt before it.
            case .failed: wanted.insert(entry.event.before)
            default: break
            }
        }
        var whole = try await wholeEvents(wanted.filter { !$0.isEmpty })
        // The body of a fan-out stands with its first message.
        let shared = Set(whole.values.compactMap { $0.state == "CREATED" && !$0.before.isEmpty ? $0.before : nil })
        whole.merge(try await wholeEvents(shared.subtracting(whole.keys))) { old, _ in old }
        for index in entries.indices {
            let event = entries[index].event
            if let first = whole[event.created] {
                entries[index].body = first.before.isEmpty ? first.body : whole[first.before]?.body ?? []
            }
            switch event.state {
            case .error:
                (entries[index].answer, entries[index].responseBody) = (event.detail, whole[event.ref]?.body ?? [])
            case .failed:
                let before = whole[event.before]
                entries[index].answer = before?.state == "ERROR" ? before?.detail : event.detail
                entries[index].responseBody = before?.state == "ERROR" ? before?.body ?? [] : []
            default: break
            }
        }
    }

    private struct WholeEvent {
        var state: String
        var before: String
        var detail: LogDetail
        var body: [UInt8]
    }

    private func wholeEvents(
        _ refs: Set<String>
    ) async throws(StoreError) -> [String: WholeEvent] {
        var found: [String: WholeEvent] = [:]
        var rest = Array(refs)[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(200)
            let reply = try await scripts.untilAnswered(
                Scripts.logGet, [.integer(2 << 20)] + chunk.map(RedisPart.text),
                deadline: .now + settings.storeTimeout)
            guard reply.count > 1 else { throw .broken("log_get answered nothing") }
            for value in reply.dropFirst() {
                guard let f = value.array, f.count == 7, let ref = f[0].string else { continue }
                let state = f[2].string ?? ""
                let detail = state == "CREATED" ? LogDetail() : LogDetail(json: f[5].bytes ?? [])
                found[ref] = WholeEvent(
                    state: state, before: f[4].string ?? "", detail: detail, body: f[6].bytes ?? [])
            }
            rest = rest.dropFirst(reply.count - 1)
        }
        return found
    }

    private static func entries(_ events: RedisValue, requests: RedisValue) -> [LogEntry] {
        var records: [String: (record: MessageRecord, bytes: Int)] = [:]
        let values = requests.array ?? []
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            guard let ref = values[index].string, let bytes = values[index + 1].bytes else { continue }
            if let record = try? MessageRecord.decode(bytes) { records[ref] = (record, bytes.count) }
        }
        return (events.array ?? []).compactMap { value in
            guard let f = value.array, f.count == 6, let ref = f[0].string, let id = f[1].string,
                let state = f[2].string.flatMap(LogState.init(rawValue:))
            else { return nil }
            let created = f[3].string ?? ""
            let event = MessageEvent(
                ref: ref, messageID: id, state: state, created: created, before: f[4].string ?? "",
                detail: LogDetail(json: f[5].bytes ?? []))
            var entry = LogEntry(event: event, record: records[created]?.record)
            entry.requestBytes = records[created]?.bytes ?? 0
            return entry
        }
    }
}

extension ListQuery {
    fileprivate func passes(_ entry: LogEntry) -> Bool {
        guard filter.passes(id: entry.event.messageID), filter.passes(entry.event.state) else { return false }
        if !filter.needsRecord { return true }
        if let record = entry.record { return filter.passes(record) }
        return entry.event.detail.url.map { filter.passes(onlyURL: $0) } ?? false
    }

    fileprivate func isBehindCursor(_ event: MessageEvent) -> Bool {
        guard case .behind(let ref) = cursor else { return true }
        let number = Int64(ref.drop { $0 != "-" }.dropFirst()) ?? 0
        return order == .latestFirst ? event.number < number : event.number > number
    }
}
