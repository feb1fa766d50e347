/// Dead letters: one hash each, listed in `dead` by the time they entered it.

import Domain
import RedisLink

/// A dead letter as it stands in Redis.
package struct StoredDeadLetter: Sendable {
    package var message: Message
    package var answer: MessageView.DeadLetter
}

/// What a dead letter becomes.
package struct DeadLetterRetry: Sendable {
    package var dlqId: String
    /// Without its body, which stays in Redis.
    package var message: NewMessage

    package init(dlqId: String, message: NewMessage) { (self.dlqId, self.message) = (dlqId, message) }
}

extension Store {
    /// - Parameter withBodies: false leaves out the bodies of message and answer.
    package func deadLetter(_ dlqId: String, withBodies: Bool = true) async throws(StoreError) -> StoredDeadLetter? {
        let reply = try await read(
            RedisCommand(
                "HMGET", key("dead", dlqId), "message", "request", withBodies ? "body" : "-",
                withBodies ? "shared" : "-", "status", "responseHeader", withBodies ? "responseBody" : "-", "retried"))
        let f = reply.array ?? []
        guard f.count == 8, let id = f[0].string, let request = f[1].bytes else { return nil }
        var body = f[2].bytes ?? []
        if let shared = f[3].string {
            body = try await read(RedisCommand("HGET", key("body", shared), "text")).bytes ?? []
        }
        do {
            let message = Message(
                id: MessageID(id), record: try MessageRecord.decode(request), body: body,
                retried: Int(f[7].int64 ?? 0))
            let header = try f[5].bytes.map { bytes throws(JSONError) in try HeaderMap(json: JSONValue.read(bytes)) }
            return StoredDeadLetter(
                message: message,
                answer: .init(dlqId: dlqId, status: Int(f[4].int64 ?? 0), header: header, body: f[6].bytes ?? []))
        } catch {
            throw .broken("dead letter \(dlqId): \(error)")
        }
    }

    /// Those that exist, in the order given; they are read together.
    package func deadLetters(_ ids: [String], withBodies: Bool = true) async throws -> [StoredDeadLetter] {
        try await withThrowingTaskGroup(of: (Int, StoredDeadLetter?).self) { group in
            for (index, id) in ids.enumerated() {
                group.addTask { (index, try await self.deadLetter(id, withBodies: withBodies)) }
            }
            var found: [Int: StoredDeadLetter] = [:]
            for try await (index, letter) in group { found[index] = letter }
            return ids.indices.compactMap { found[$0] }
        }
    }

    /// One page of those that pass; `more` where the list may go on behind the last row.
    package func deadRows(_ query: ListQuery) async throws -> (rows: [ListRow], more: Bool) {
        let most = query.count ?? Int.max
        var rows: [ListRow] = []
        var more = false
        if query.filter.selectsNothing { return ([], false) }
        try await walk(.dead, query, rows: query.filter.isEmpty ? most + 1 : 500) { row in
            let isWanted =
                query.filter.passes(id: row.messageID) && query.filter.passes(status: row.status)
                && (!query.filter.needsRecord || row.record.map(query.filter.passes) == true)
            guard isWanted else { return true }
            if rows.count == most {
                more = true
                return false
            }
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

    package enum RetryResult: Sendable, Equatable {
        /// For each item whether its message was made; false where the dead letter was gone.
        case done([Bool])
        /// Nothing was done, because this one is gone.
        case gone(String)
    }

    /// Makes the new messages and removes the dead letters, each in one step.
    ///
    /// - Parameter all: where one of the items is gone, nothing is done.
    package func retryDead(_ items: [DeadLetterRetry], all: Bool) async throws(StoreError) -> RetryResult {
        var done: [Bool] = []
        while done.count < items.count {
            let chunk = items[done.count...].prefix(200)
            var parts: [RedisPart] = [
                .text(all && done.isEmpty ? "all" : ""), .integer(4 << 20), .integer(Int64(chunk.count)),
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
                let isStored = status.string == "stored"
                if isStored { metrics.published(LaneKind(lane: item.message.lane)) }
                done.append(isStored)
            }
        }
        return .done(done)
    }
}
