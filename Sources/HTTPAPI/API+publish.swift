/// POST /v2/publish/{destination}, /v2/enqueue, and a POST to /v2/schedules (contract publish.md).

import Domain
import Engine

/// What is to be published, as it came: read again where its topic has changed meanwhile.
struct PublishSource: Sendable {
    var destination: Destination
    var headers: [HeaderField]
    var query: [HeaderField] = []
    var body: [UInt8]
    /// Of the path or of the batch item.
    var queue: String?
    var version: APIVersion
    var callerIP: String
    var isAuthenticatedByQuery: Bool
}

/// A publish that was read and checked; what remains is to store it.
struct CheckedPublish: Sendable {
    var source: PublishSource
    var topic: Topic?
    var request: PublishRequest
    var messages: [NewMessage]

    var item: PublishItem {
        PublishItem(
            entries: messages.map(PublishItem.Entry.init), body: request.body,
            hidesBody: request.settings.redaction?.hidesBody == true,
            topic: topic.map { ($0.name, $0.revision) })
    }

    /// The same with that body everywhere.
    func carrying(_ body: [UInt8]) -> CheckedPublish {
        var copy = self
        (copy.source.body, copy.request.body) = (body, body)
        for index in copy.messages.indices { copy.messages[index].body = body }
        return copy
    }

    /// - Parameter originals: for each message the id of the one it repeats, empty for one that was stored.
    func answer(originals: [String] = []) -> PublishAnswer {
        let entries = messages.enumerated().map { index, message in
            let original = index < originals.count ? originals[index] : ""
            return PublishAnswer.Entry(
                messageId: original.isEmpty ? message.id : MessageID(original), url: message.record.url,
                isDeduplicated: !original.isEmpty)
        }
        return topic == nil ? .url(entries[0]) : .topic(entries)
    }
}

extension API {
    func publish(
        _ request: APIRequest, remainder: String, access: Authenticator.Access, version: APIVersion,
        queue: String? = nil, requiresCron: Bool = false
    ) async throws(RequestError) -> APIResponse {
        let publish = try await check(
            try source(request, remainder: remainder, access: access, version: version, queue: queue))
        if let schedule = publish.request.newSchedule() {
            try access.require(.manage)
            let answer = try await create(schedule, dedup: publish.request.scheduleDedup)
            return APIResponse(status: answer.status(version: version), json: answer.json)
        }
        if requiresCron { throw .cron("empty spec string") }
        try await countDaily(publish.messages.count)
        let answer = try await store(publish)
        await uncountDaily(answer.duplicates)
        return APIResponse(status: answer.status(version: version), json: answer.json)
    }

    func source(
        _ request: APIRequest, remainder: String, access: Authenticator.Access, version: APIVersion,
        queue: String? = nil
    ) throws(RequestError) -> PublishSource {
        if let queue { try NameGrammar.check(queue, kind: "queue") }
        let parsed = try DestinationParser.parse(remainder: remainder, limits: settings.limits)
        return PublishSource(
            destination: parsed.destination, headers: request.headers, query: parsed.query, body: request.body,
            queue: queue, version: version, callerIP: callerIP(request), isAuthenticatedByQuery: access.isByQuery)
    }

    /// Reads everything of a publish. 404 for a topic that does not exist, but only where all else is right.
    func check(_ source: PublishSource) async throws(RequestError) -> CheckedPublish {
        guard case .topic(let name) = source.destination else { return try check(source, topic: nil) }
        let topic = try await stored { try await store.topicForPublish(name) }
        let checked = try check(source, topic: topic)
        if topic == nil { throw .topicNotFound(name) }
        return checked
    }

    /// The same where its topic is known, or it has none.
    func check(_ source: PublishSource, topic: Topic?) throws(RequestError) -> CheckedPublish {
        let context = PublishContext(
            version: source.version, now: store.clock.now, latest: store.clock.latest, callerIP: source.callerIP,
            isAuthenticatedByQuery: source.isAuthenticatedByQuery, queue: source.queue, limits: settings.limits,
            policy: settings.policy)
        let request = try PublishRequest.parse(
            destination: source.destination, headers: source.headers, query: source.query,
            topicDefaults: topic?.headers, body: source.body, context: context)
        return CheckedPublish(source: source, topic: topic, request: request, messages: request.messages(topic: topic))
    }

    /// The fan-out is made from a topic as it was read; the script stores it only if that is still what it is.
    func store(_ publish: CheckedPublish) async throws(RequestError) -> PublishAnswer {
        var publish = publish
        for _ in 0..<20 {
            let item = publish.item
            let result = try await stored { try await store.publish(item) }
            if let answer = try answer(publish, result) { return answer }
            publish = try await check(publish.source)
        }
        throw .storageUnavailable
    }

    /// Nil where its topic is another one by now, so that it is to be read again.
    func answer(_ publish: CheckedPublish, _ result: PublishResult) throws(RequestError) -> PublishAnswer? {
        switch result {
        case .stored: return publish.answer()
        case .duplicates(let originals): return publish.answer(originals: originals)
        case .tooManyQueues: throw .quota("maxQueues", limit: settings.limits.maxQueues ?? 0)
        case .topicChanged: return nil
        }
    }
}
