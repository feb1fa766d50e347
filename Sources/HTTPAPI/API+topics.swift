/// /v2/topics: URL groups (contract url-groups.md).

import Domain
import Engine

extension API {
    func topics() async throws(RequestError) -> APIResponse {
        APIResponse(json: Topic.json(list: try await stored { try await store.allTopics() }))
    }

    func topic(_ request: APIRequest, name: String) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(name, kind: "topic")
        let now = store.clock.now
        switch request.method {
        case "PATCH":
            let headers = try Topic.defaultHeaders(body: request.body, now: now, limits: settings.limits)
            try await edit(name) { topic throws(RequestError) in
                guard let topic else { throw .topicNotFound(name) }
                return topic.replacingHeaders(headers, now: now)
            }
            return .empty
        case "DELETE":
            try await edit(name) { _ in nil }
            return .empty
        default:
            guard let topic = try await stored({ try await store.topic(name) }) else { throw .topicNotFound(name) }
            return APIResponse(json: topic.json)
        }
    }

    func endpoints(_ request: APIRequest, topic name: String) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(name, kind: "topic")
        let now = store.clock.now
        let limits = settings.limits
        if request.method == "POST" {
            let endpoints = try Topic.endpoints(body: request.body, limits: limits, policy: settings.policy)
            try await edit(name) { topic throws(RequestError) in
                try Topic.upserting(endpoints, into: topic, name: name, now: now, limits: limits)
            }
        } else {
            let selectors = try Topic.selectors(body: request.body)
            try await edit(name) { topic throws(RequestError) in
                guard let topic else { throw .topicNotFound(name) }
                return topic.removing(selectors, now: now)
            }
        }
        return .empty
    }

    private func edit(
        _ name: String, _ decide: @Sendable (Topic?) throws(RequestError) -> Topic?
    ) async throws(RequestError) {
        try await stored { try await store.editTopic(name, decide) }
    }
}
