/// /v2/events and /v2/logs: what happened to messages (contract logs.md).

import Domain
import Engine

extension API {
    /// - Parameter name: `events` or `logs`, the field of the answer.
    func log(_ request: APIRequest, name: String) async throws(RequestError) -> APIResponse {
        let pairs = try Self.textQuery(request.target)
        let limits = settings.limits
        if name == "logs", let grouping = pairs.first(where: { $0.name == "groupBy" })?.value {
            guard grouping == "messageId" else { throw .badRequest("invalid groupBy: it must be messageId") }
            return try await groupedLog(try ListQuery.read(pairs, of: .groupedLog, limits: limits))
        }
        let standard = name == "logs" ? limits.defaultLogsCount : limits.maxEventsCount
        let query = try ListQuery.read(pairs, of: .log(defaultCount: standard), limits: limits)
        let page = try await stored { try await store.log(query) }
        var json = JSONText(capacity: 1024 * page.entries.count + 64)
        json.object { json in
            json.field("cursor", ifAny: page.next)
            json.key(name)
            json.array { json in
                for entry in page.entries { entry.write(to: &json, limits: limits, trimBody: query.trimBody) }
            }
        }
        return APIResponse(json: json.bytes)
    }

    private func groupedLog(_ query: ListQuery) async throws(RequestError) -> APIResponse {
        let page = try await stored { try await store.groupedLog(query) }
        var json = JSONText(capacity: 1024)
        json.object { json in
            json.field("cursor", ifAny: page.next)
            json.key("messages")
            json.array { json in
                for history in page.messages {
                    guard let latest = history.first else { continue }
                    json.object { json in
                        json.field("messageId", latest.event.messageID)
                        json.field("url", history.lazy.compactMap { $0.record?.url ?? $0.event.detail.url }.first ?? "")
                        json.field("state", latest.event.state.rawValue)
                        json.key("events")
                        json.array { json in
                            for entry in history { entry.writeShort(to: &json) }
                        }
                    }
                }
            }
        }
        return APIResponse(json: json.bytes)
    }
}
