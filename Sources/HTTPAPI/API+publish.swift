/// POST /v2/publish/{destination} (contract publish.md).

import Domain
import Engine

extension API {
    func publish(
        _ request: APIRequest, remainder: String, access: Authenticator.Access, version: APIVersion,
        queue: String? = nil, requiresCron: Bool = false
    ) async throws(RequestError) -> APIResponse {
        if let queue { try NameGrammar.check(queue, kind: "queue") }
        let parsed = try DestinationParser.parse(remainder: remainder, limits: settings.limits)
        // The fan-out is made from a topic as it was read; the script stores it only if that is still what it is.
        for _ in 0..<20 {
            let topic = try await topic(of: parsed.destination)
            let context = PublishContext(
                version: version, now: store.clock.now, callerIP: callerIP(request),
                isAuthenticatedByQuery: access.isByQuery, queue: queue, limits: settings.limits, policy: settings.policy
            )
            let publish = try PublishRequest.parse(
                destination: parsed.destination, headers: request.headers, query: parsed.query,
                topicDefaults: topic?.headers, body: request.body, context: context)
            if let schedule = publish.newSchedule() {
                try access.require(.manage)
                return try await create(schedule, version: version)
            }
            if requiresCron { throw .cron("empty spec string") }
            let messages = publish.messages(topic: topic)
            let item = PublishItem(
                entries: messages.map(PublishItem.Entry.init),
                body: publish.body, topic: topic.map { ($0.name, $0.revision) })
            let result = try await stored { try await store.publish(item) }
            switch result {
            case .topicChanged: continue
            case .stored:
                let entries = messages.map { PublishAnswer.Entry(messageId: $0.id, url: $0.record.url) }
                let answer = topic == nil ? PublishAnswer.url(entries[0]) : .topic(entries)
                return APIResponse(status: answer.status(version: version), json: answer.json)
            }
        }
        throw .storageUnavailable
    }

    /// Nil for a URL; 404 for a topic that does not exist.
    private func topic(of destination: Destination) async throws(RequestError) -> Topic? {
        guard case .topic(let name) = destination else { return nil }
        guard let topic = try await stored({ try await store.topicForPublish(name) }) else {
            throw .topicNotFound(name)
        }
        return topic
    }
}
