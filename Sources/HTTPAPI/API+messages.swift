/// GET and DELETE /v2/messages/{id} (contract messages.md).

import Domain
import Engine

extension API {
    func message(_ request: APIRequest, id: String) async throws(RequestError) -> APIResponse {
        if request.method == "DELETE" {
            let cancelled = try await stored { try await store.cancel([id]) }
            guard cancelled == 1 else { throw .messageNotFound(id) }
            return APIResponse(json: Array(#"{"cancelled":1}"#.utf8))
        }
        guard let message = try await stored({ try await store.message(id) }) else { throw .messageNotFound(id) }
        return APIResponse(
            json: MessageView.json(of: Message(id: MessageID(id), record: message.record, body: message.body)))
    }
}
