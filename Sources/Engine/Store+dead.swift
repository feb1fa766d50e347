/// Dead letters: one hash each, listed in `dead` by the time they entered it.

import Domain
import RedisLink

/// A dead letter as it stands in Redis.
package struct StoredDeadLetter: Sendable {
    package var message: Message
    package var answer: MessageView.DeadLetter
    /// False where the record is damaged: then nothing can be made of it again.
    package var isReadable: Bool
}

/// What a dead letter becomes.
package struct DeadLetterRetry: Sendable {
    package var dlqId: String
    /// Without its body, which stays in Redis.
    package var message: NewMessage

    package init(dlqId: String, message: NewMessage) { (self.dlqId, self.message) = (dlqId, message) }
}

extension Store {
    /// - `withBodies`: false leaves out the bodies of message and answer.
    package func deadLetter(_ dlqId: String, withBodies: Bool = true) async throws(StoreError) -> StoredDeadLetter? {
        let reply = try await read(
            RedisCommand(
                "HMGET", key("dead", dlqId), "message", "request", withBodies ? "body" : "-",
                withBodies ? "shared" : "-", "status", "responseHeader", withBodies ? "responseBody" : "-", "retried"))
        let f = reply.array ?? []
        guard f.count == 8, let id = f[0].string else { return nil }
        var body = f[2].bytes ?? []
        if let shared = f[3].string {
            body = try await read(RedisCommand("HGET", key("body", shared), "text")).bytes ?? []
        }
        let header = f[5].bytes.flatMap { bytes in (try? JSONValue.read(bytes)).flatMap { try? HeaderMap(json: $0) } }
        let answer = MessageView.DeadLetter(
            dlqId: dlqId, status: Int(clamping: f[4].int64 ?? 0), header: header, body: f[6].bytes ?? [])
        let record = f[1].bytes.flatMap { try? MessageRecord.decode($0) }
        // What is left of one whose record can't be read: it can be looked at and deleted.
        let time = Timestamp(milliseconds: Int64(dlqId.prefix { $0 != "-" }) ?? 0)
        let rest = MessageRecord(url: "", retries: 0, callerIP: "", createdAt: time, notBefore: time)
        let message = Message(
            id: MessageID(id), record: record ?? rest, body: body, retried: Int(clamping: f[7].int64 ?? 0))
        return StoredDeadLetter(message: message, answer: answer, isReadable: record != nil)
    }

    /// Those that exist, in the order given, read a few at a time. Ends early, with the number of ids that were looked at,
    /// when what was read is larger than `mostBytes`.
    package func deadLetters(
        _ ids: [String], withBodies: Bool = true, mostBytes: Int = .max
    ) async throws -> (letters: [StoredDeadLetter], seen: Int) {
        var letters: [StoredDeadLetter] = []
        var bytes = 0
        var seen = 0
        while seen < ids.count, bytes < mostBytes {
            let chunk = Array(ids[seen..<min(seen + (withBodies ? 4 : 100), ids.count)])
            let found = try await withThrowingTaskGroup(of: (Int, StoredDeadLetter?).self) { group in
                for (index, id) in chunk.enumerated() {
                    group.addTask { (index, try await self.deadLetter(id, withBodies: withBodies)) }
                }
                return try await group.reduce(into: [Int: StoredDeadLetter]()) { $0[$1.0] = $1.1 }
            }
            for index in chunk.indices where bytes < mostBytes {
                seen += 1
                guard let letter = found[index] else { continue }
                letters.append(letter)
                bytes += letter.message.body.count + letter.answer.body.count
            }
        }
        return (letters, seen)
    }

    /// One page of those that pass; `more` where the list may go on behind the last row.
    ///
    /// - `mostBytes`: of their records and bodies; then the page ends before `count`.
    package func deadRows(_ query: ListQuery, mostBytes: Int = .max) async throws -> (rows: [ListRow], more: Bool) {
        let most = query.count ?? Int.max
        var rows: [ListRow] = []
        var (more, bytes) = (false, 0)
        if query.filter.selectsNothing { return ([], false) }
        try await walk(.dead, query, rows: query.filter.isEmpty ? most + 1 : 500) { row in
            let isWanted =
                query.filter.passes(id: row.messageID) && query.filter.passes(status: row.status)
                && (!query.filter.needsRecord || row.record.map(query.filter.passes) == true)
            guard isWanted else { return true }
            if rows.count == most || (bytes > mostBytes && !rows.isEmpty) {
                more = true
                return false
            }
            bytes += row.bodyBytes + row.request.count
            rows.append(row)
            return true
        }
        return (rows, more)
    }

    /// Deletes those that exist; answers how many.
    package func dropDead(_ ids: [String]) async throws(StoreError) -> Int {
        var deleted = 0
        var rest = ids[...]
        while !rest.isEmpty {
            let chunk = rest.prefix(100)
            rest = rest.dropFirst(100)
            let reply = try await scripts.untilAnswered(
                Scripts.deadDrop, [.text(callIdentifier())] + chunk.map(RedisPart.text),
                deadline: .now + settings.storeTimeout)
            deleted += reply.count > 1 ? Int(reply[1].int64 ?? 0) : 0
        }
        return deleted
    }

    package enum RetryStatus: String, Sendable {
        /// Its message was made.
        case stored
        case gone
        /// It would make a queue, and there are as many as may be: the dead letter stays.
        case tooManyQueues = "queues"
    }

    package enum RetryResult: Sendable, Equatable {
        /// For each item.
        case done([RetryStatus])
        /// Nothing was done, because this one is gone.
        case gone(String)
    }

    /// Makes the new messages and removes the dead letters, each in one step.
    ///
    /// - `all`: where one of the items is gone, nothing is done.
    package func retryDead(_ items: [DeadLetterRetry], all: Bool) async throws(StoreError) -> RetryResult {
        var done: [RetryStatus] = []
        while done.count < items.count {
            let chunk = items[done.count...].prefix(200)
            var parts: [RedisPart] = [
                .text(all && done.isEmpty ? "all" : ""), .integer(4 << 20), .integer(settings.maxQueues),
                .integer(Int64(chunk.count)),
            ]
            for item in chunk {
                let message = item.message
                parts += [
                    .text(item.dlqId), .text(message.id.text), .text(message.lane),
                    .integer(message.due.milliseconds), .bytes(message.record.encode()), .text(message.gate),
                    .integer(Int64(settings.logBytes(of: message.record))),
                ]
            }
            let reply = try await scripts.untilAnswered(
                Scripts.deadRetry, parts, deadline: .now + settings.storeTimeout)
            if reply.first?.string == "gone" { return .gone(reply.count > 1 ? reply[1].string ?? "" : "") }
            guard reply.count > 1 else { throw .broken("dead_retry answered nothing") }
            for (item, status) in zip(chunk, reply.dropFirst()) {
                let status = status.string.flatMap(RetryStatus.init(rawValue:)) ?? .gone
                if status == .stored { metrics.published(LaneKind(lane: item.message.lane)) }
                done.append(status)
            }
        }
        return .done(done)
    }
}
