/// Lists of live messages and of dead letters, page by page, and what is done to all that match.

import Domain
import RedisLink

/// One row of a list, its record still encoded: most rows are only looked at.
package struct ListRow: Sendable {
    /// The message id, or the dlqId.
    package var member: String
    /// Where it stands in its set, for the cursor of the next page.
    package var score = ""
    package var messageID: String
    package var state: String
    package var request: [UInt8]
    /// Of a dead letter's last response; of a live message how often it was retried.
    package var status: String
    /// Bytes of a dead letter's bodies.
    package var bodyBytes: Int

    package var record: MessageRecord? { try? MessageRecord.decode(request) }
}

package enum ListSet: String, Sendable { case messages, dead }

extension Store {
    private static let pageRows = 500
    private static let pageBytes = 1 << 20

    /// Walks the set from the cursor, or from behind `place` ("<score> <member>"), on and hands over every row in its order until `visit` answers false.
    package func walk(
        _ set: ListSet, _ query: ListQuery, rows: Int = Store.pageRows, behind place: String? = nil,
        _ visit: (ListRow) async throws -> Bool
    ) async throws {
        var cursor = place ?? ""
        if case .behind(let member) = query.cursor { cursor = "\(member.prefix { $0 != "-" }) \(member)" }
        let (from, to) = query.range
        while true {
            let reply = try await scripts.untilAnswered(
                Scripts.list,
                [
                    .text(set.rawValue), .text(query.order.rawValue), .text(cursor),
                    .text(from.map { String($0) } ?? "-inf"), .text(to.map { String($0) } ?? "+inf"),
                    .integer(Int64(rows)), .integer(Int64(Self.pageBytes)),
                ], deadline: .now + settings.storeTimeout)
            for value in reply.dropFirst(2) {
                guard let f = value.array, f.count == 7, let member = f[0].string else { continue }
                cursor = "\(f[1].string ?? "") \(member)"
                let row = ListRow(
                    member: member, score: f[1].string ?? "", messageID: f[2].string ?? "", state: f[3].string ?? "",
                    request: f[4].bytes ?? [],
                    status: f[5].string ?? "", bodyBytes: Int(clamping: f[6].int64 ?? 0))
                guard try await visit(row) else { return }
            }
            guard reply.count > 2, reply[1].int64 == 1 else { return }
        }
    }

    /// Ends every live message that passes, a bounded number in each step. Answers how many.
    package func cancel(matching query: ListQuery) async throws -> Int {
        var cancelled = 0
        var chunk: [String] = []
        var walked = query
        // A message is listed under the time it was stored at, by the clock of any node: less than a second from its
        // creation, which `passes` looks at. What comes later is not meant.
        walked.from = query.from.map { Saturating.subtract($0, 1000) }
        walked.to = clock.now.adding(seconds: 1).milliseconds
        let most = query.count ?? Int.max
        try await walk(.messages, walked) { row in
            guard row.state == "waiting" || row.state == "active" else { return true }
            guard Self.passes(row, query) else { return true }
            chunk.append(row.messageID)
            if chunk.count < 64, cancelled + chunk.count < most { return true }
            cancelled += try await cancel(chunk)
            chunk = []
            return cancelled < most
        }
        if !chunk.isEmpty { cancelled += try await cancel(chunk) }
        return cancelled
    }

    package static func passes(_ row: ListRow, _ query: ListQuery) -> Bool {
        guard query.filter.passes(id: row.messageID) else { return false }
        if !query.filter.needsRecord, query.from == nil, query.to == nil { return true }
        guard let record = row.record else { return false }
        let created = record.createdAt.milliseconds
        return created >= query.from ?? .min && created <= query.to ?? .max && query.filter.passes(record)
    }
}
