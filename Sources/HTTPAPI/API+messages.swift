/// /v2/messages: reading one, cancelling one or many (contract messages.md).

import Domain
import Engine

extension API {
    func message(_ request: APIRequest, id: String) async throws(RequestError) -> APIResponse {
        if request.method == "DELETE" {
            let cancelled = try await stored { try await store.cancel([id]) }
            guard cancelled == 1 else { throw .messageNotFound(id) }
            return Self.cancelled(1)
        }
        guard let message = try await stored({ try await store.message(id) }) else { throw .messageNotFound(id) }
        return APIResponse(
            json: MessageView.json(of: Message(id: MessageID(id), record: message.record, body: message.body)))
    }

    /// DELETE: the ids that are named, else all that pass the filters.
    func cancelMany(_ request: APIRequest, hasSlash: Bool) async throws(RequestError) -> APIResponse {
        let query = try bulkQuery(request, of: .messages, field: "messageIds", hasSlash: hasSlash)
        if let ids = query.ids {
            var cancelled = 0
            var rest = ids[...]
            while !rest.isEmpty {
                let chunk = Array(rest.prefix(64))
                rest = rest.dropFirst(64)
                cancelled += try await stored { try await store.cancel(chunk) }
            }
            return Self.cancelled(cancelled)
        }
        if query.filter.selectsNothing { return Self.cancelled(0) }
        return Self.cancelled(try await stored { try await store.cancel(matching: query) })
    }

    private static func cancelled(_ count: Int) -> APIResponse {
        var json = JSONText()
        json.object { $0.field("cancelled", count) }
        return APIResponse(json: json.bytes)
    }

    /// What a bulk act is about: the ids of its body, those of its query, or all that pass the filters.
    ///
    /// - Parameter field: of the body.
    func bulkQuery(
        _ request: APIRequest, of subject: ListQuery.Subject, field: String, hasSlash: Bool
    ) throws(RequestError) -> ListQuery {
        let pairs = try Self.textQuery(request.target)
        let bodyIDs = try BulkIDs.read(request.body, field: field)
        try refuseAmbiguous(pairs, bodyIDs, hasSlash: hasSlash)
        var query = try ListQuery.read(pairs, of: subject, limits: settings.limits)
        query.ids = bodyIDs ?? query.ids
        return query
    }

    /// A client that joins an empty id into the path, or says in two ways what it means, must not hit everything by
    /// accident (contract conventions.md §1, dlq.md §3).
    private func refuseAmbiguous(_ pairs: [HeaderField], _ bodyIDs: [String]?, hasSlash: Bool) throws(RequestError) {
        let said = pairs.filter { !ASCII.equalIgnoringCase($0.name, "qstash_token") }
        if hasSlash, said.isEmpty, bodyIDs == nil {
            throw .badRequest("an id is missing behind the slash; leave the slash out to mean all")
        }
        let filters = said.filter { !ListQuery.alwaysAllowed.contains($0.name) }
        if bodyIDs != nil, let filter = filters.first {
            throw .badRequest("\(filter.name) in the query and ids in the body: give one of them")
        }
    }
}
