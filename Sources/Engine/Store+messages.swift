/// Reading one message.

import Domain
import RedisLink

extension Store {
    /// A live message, or a delivered one that is still readable; nil where there is none.
    package func message(_ id: String) async throws(StoreError) -> StoredMessage? {
        let fields =
            try await read(
                RedisCommand("HMGET", key("message", id), "state", "request", "body", "shared")
            ).array ?? []
        guard fields.count == 4, let state = fields[0].string, let request = fields[1].bytes else { return nil }
        var body = fields[2].bytes ?? []
        if let shared = fields[3].string {
            body = try await read(RedisCommand("HGET", key("body", shared), "text")).bytes ?? []
        }
        do {
            return StoredMessage(id: id, state: state, record: try MessageRecord.decode(request), body: body)
        } catch {
            throw .broken("message \(id): \(error)")
        }
    }
}
