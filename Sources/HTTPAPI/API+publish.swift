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

    /// What its answer needs, when it is stored.
    var promised: PromisedAnswer {
        PromisedAnswer(
            entries: messages.indices.map { index in
                PublishAnswer.Entry(
                    messageId: messages[index].id, url: messages[index].record.url, isDeduplicated: false)
            }, isTopic: topic != nil)
    }
}

/// The answer of a publish that is under way.
struct PromisedAnswer: Sendable {
    private var entries: [PublishAnswer.Entry]
    private let isTopic: Bool

    init(entries: [PublishAnswer.Entry], isTopic: Bool) { (self.entries, self.isTopic) = (entries, isTopic) }

    /// Nil where its topic is another one by now, so that it is to be read again.
    func told(_ result: PublishResult, limits: Limits) throws(RequestError) -> PublishAnswer? {
        var entries = entries
        switch result {
        case .stored: break
        case .duplicates(let originals):
            for (index, original) in originals.enumerated() where index < entries.count && !original.isEmpty {
                (entries[index].messageId, entries[index].isDeduplicated) = (MessageID(original), true)
            }
        case .tooManyQueues: throw .quota("maxQueues", limit: limits.maxQueues ?? 0)
        case .topicChanged: return nil
        }
        return isTopic ? .topic(entries) : .url(entries[0])
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
            if let answer = try publish.promised.told(result, limits: settings.limits) { return answer }
            publish = try await check(publish.source)
        }
        throw .storageUnavailable
    }
}
