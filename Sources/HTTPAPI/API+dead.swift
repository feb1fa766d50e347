/// /v2/dlq: dead letters (contract dlq.md).

import Domain
import Engine

extension API {
    func deadLetters(_ request: APIRequest, hasSlash: Bool) async throws(RequestError) -> APIResponse {
        if request.method == "DELETE" {
            return try await dropDead(try bulkQuery(request, of: .dead, field: "dlqIds", hasSlash: hasSlash))
        }
        return try await listDead(
            try ListQuery.read(Self.textQuery(request.target), of: .dead, limits: settings.limits))
    }

    /// What one answer may carry: a page ends there, with a cursor.
    private static let mostBytes = 8 << 20

    private func listDead(_ query: ListQuery) async throws(RequestError) -> APIResponse {
        var page = try await deadIDs(query, mostBytes: Self.mostBytes)
        // Ids that are named are one list, too.
        if query.ids != nil {
            if case .behind(let last) = query.cursor, let index = page.ids.firstIndex(of: last) {
                page.ids.removeFirst(index + 1)
            }
            page.more = page.ids.count > query.count ?? .max
            page.ids = Array(page.ids.prefix(query.count ?? .max))
        }
        let ids = page.ids
        let (letters, seen) = try await stored { try await store.deadLetters(ids, mostBytes: Self.mostBytes) }
        let cursor = seen < ids.count || page.more ? ids.prefix(seen).last : nil
        var json = JSONText(capacity: 1024 * letters.count + 64)
        json.object { json in
            json.field("cursor", ifAny: cursor)
            json.key("messages")
            json.array { json in
                for letter in letters {
                    MessageView.write(letter.message, dead: letter.answer, to: &json, query.trimBody)
                }
            }
        }
        return APIResponse(json: json.bytes)
    }

    /// The ids of one page, in order: those that were named, or those that pass the filters.
    private func deadIDs(
        _ query: ListQuery, mostBytes: Int = .max
    ) async throws(RequestError) -> (ids: [String], more: Bool) {
        if let ids = query.ids {
            var seen: Set<String> = []
            return (ids.filter { seen.insert($0).inserted }, false)
        }
        let page = try await stored { try await store.deadRows(query, mostBytes: mostBytes) }
        return (page.rows.map(\.member), page.more)
    }

    private func dropDead(_ query: ListQuery) async throws(RequestError) -> APIResponse {
        let page = try await deadIDs(query)
        let deleted = try await stored { try await store.dropDead(page.ids) }
        var json = JSONText()
        json.object { json in
            json.field("deleted", deleted)
            json.field("cursor", ifAny: page.more ? page.ids.last : nil)
        }
        return APIResponse(json: json.bytes)
    }

    func deadLetter(_ request: APIRequest, id: String) async throws(RequestError) -> APIResponse {
        let query = try ListQuery.read(onlyCommon: Self.textQuery(request.target))
        if request.method == "DELETE" {
            guard try await stored({ try await store.dropDead([id]) }) == 1 else { throw .deadLetterNotFound(id) }
            return .empty
        }
        guard let letter = try await stored({ try await store.deadLetter(id) }) else { throw .deadLetterNotFound(id) }
        var json = JSONText(capacity: 1024 + letter.message.body.count + letter.answer.body.count)
        MessageView.write(letter.message, dead: letter.answer, to: &json, query.trimBody)
        return APIResponse(json: json.bytes)
    }

    func retryDead(
        _ request: APIRequest, id: String, access: Authenticator.Access
    ) async throws(RequestError) -> APIResponse {
        _ = try ListQuery.read(onlyCommon: Self.textQuery(request.target))
        let ids = try await retry([id], all: true, request, access)
        guard let messageID = ids.first else { throw .deadLetterNotFound(id) }
        var json = JSONText()
        json.object { $0.field("messageId", messageID) }
        return APIResponse(status: 201, json: json.bytes)
    }

    func retryDead(
        _ request: APIRequest, hasSlash: Bool, access: Authenticator.Access
    ) async throws(RequestError) -> APIResponse {
        let query = try bulkQuery(request, of: .dead, field: "dlqIds", hasSlash: hasSlash)
        let page = try await deadIDs(query)
        let ids = try await retry(page.ids, all: query.ids != nil, request, access)
        var json = JSONText()
        json.object { json in
            json.key("responses")
            json.array { json in
                for id in ids { json.object { $0.field("messageId", id) } }
            }
            json.field("cursor", ifAny: page.more ? page.ids.last : nil)
        }
        return APIResponse(status: 201, json: json.bytes)
    }

    /// Answers the ids of the new messages. Headers are read before anything is looked up: a bad one is a 400 also
    /// where nothing matches.
    private func retry(
        _ ids: [String], all: Bool, _ request: APIRequest, _ access: Authenticator.Access
    ) async throws(RequestError) -> [String] {
        let now = store.clock.now
        let context = PublishContext(
            version: .v2, now: now, callerIP: "", isAuthenticatedByQuery: access.isByQuery, limits: settings.limits,
            policy: settings.policy)
        let probe = MessageRecord(url: "", callerIP: "", createdAt: now, notBefore: now)
        _ = try PublishRequest.retry(of: probe, body: [], headers: request.headers, context: context)
        let needsBody = PublishRequest.asksToRedact(request.headers)
        var letters = try await stored { try await store.deadLetters(ids, withBodies: false).letters }
        if all {
            let found = Set(letters.map(\.answer.dlqId))
            if let missing = ids.first(where: { !found.contains($0) }) { throw .deadLetterNotFound(missing) }
            if let damaged = letters.first(where: { !$0.isReadable }) {
                throw .badRequest("dlq message \(damaged.answer.dlqId) can't be retried: its record can't be read")
            }
        }
        letters.removeAll { !$0.isReadable }
        var items: [DeadLetterRetry] = []
        for var letter in letters {
            // A digest of the body is made only where it is hidden from now on.
            if needsBody, letter.message.record.redaction?.hidesBody != true {
                let id = letter.answer.dlqId
                letter.message.body = try await stored { try await store.deadLetter(id) }?.message.body ?? []
            }
            let (record, due) = try PublishRequest.retry(
                of: letter.message.record, body: letter.message.body, headers: request.headers, context: context)
            let message = NewMessage(id: MessageID.make(now: now), record: record, body: [], due: due)
            items.append(DeadLetterRetry(dlqId: letter.answer.dlqId, message: message))
        }
        try await countDaily(items.count)
        let retries = items
        switch try await stored({ try await store.retryDead(retries, all: all) }) {
        case .gone(let id): throw .deadLetterNotFound(id)
        case .done(let done):
            let ids = zip(items, done).filter { $0.1 == .stored }.map { $0.0.message.id.text }
            // What could be retried was; those that are left are told only where they are all there is.
            if ids.isEmpty, done.contains(.tooManyQueues) {
                throw .quota("maxQueues", limit: settings.limits.maxQueues ?? 0)
            }
            return ids
        }
    }
}
