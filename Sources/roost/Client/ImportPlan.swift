/// What has to be done so that one server has what another has: made from what both show, before anything is changed.
/// What only the target has stays as it is, so that a second run finds nothing to do.

import Domain

struct ImportStep: Sendable {
    enum Action: String, Sendable { case add, change, same, skip }

    struct Call: Sendable {
        var method = "POST"
        let path: String
        var query: [HeaderField] = []
        var headers: [HeaderField] = []
        var body: [UInt8] = []
    }

    let kind: String
    let name: String
    let action: Action
    /// What changes, or why nothing can be done.
    let detail: String
    var calls: [Call] = []

    init(_ kind: String, _ name: String, isNew: Bool, _ details: [String], _ calls: [Call]) {
        (self.kind, self.name, self.calls) = (kind, name, calls)
        action = calls.isEmpty ? .same : isNew ? .add : .change
        detail = details.joined(separator: ", ")
    }

    init(skipping kind: String, _ name: String, because reason: String) {
        (self.kind, self.name, action, detail) = (kind, name, .skip, reason)
    }
}

/// The lists of one server.
struct ServerContents: Sendable {
    var topics: [JSONValue] = []
    var queues: [JSONValue] = []
    var schedules: [JSONValue] = []
    var flows: [JSONValue] = []

    static func read(_ server: ServerConnection) async throws(CommandFailure) -> ServerContents {
        func list(_ path: String) async throws(CommandFailure) -> [JSONValue] {
            guard let array = try await server.get(path).array else {
                throw CommandFailure(text: "\(server.base)\(path) answers no list; is this a QStash-compatible server?")
            }
            return array
        }
        return ServerContents(
            topics: try await list("/v2/topics"), queues: try await list("/v2/queues"),
            schedules: try await list("/v2/schedules"), flows: try await list("/v2/flowControl"))
    }
}

enum ImportPlan {
    /// In the order in which it has to be done: a schedule needs its topic.
    static func steps(from source: ServerContents, to target: ServerContents) -> [ImportStep] {
        func pairs(_ sources: [JSONValue], _ targets: [JSONValue], _ key: String) -> [(JSONValue, JSONValue?)] {
            let known = Dictionary(targets.map { ($0.shown(key), $0) }) { first, _ in first }
            return sources.map { ($0, known[$0.shown(key)]) }
        }
        return pairs(source.topics, target.topics, "name").map(topic)
            + pairs(source.queues, target.queues, "name").map(queue)
            + pairs(source.flows, target.flows, "flowControlKey").map(flow)
            + pairs(source.schedules, target.schedules, "scheduleId").map(schedule)
    }

    private static func topic(_ source: JSONValue, _ target: JSONValue?) -> ImportStep {
        let name = source.shown("name")
        let path = Topics.path(name)
        let known = target?["endpoints"]?.array ?? []
        let missing: [EndpointText.Parts] = (source["endpoints"]?.array ?? []).compactMap { endpoint in
            let (label, url) = (endpoint["name"]?.string?.nonEmpty, endpoint["url"]?.string)
            let isThere = known.contains { other in
                other["url"]?.string == url && (label == nil || other["name"]?.string == label)
            }
            return isThere ? nil : (label, url)
        }
        var calls: [ImportStep.Call] = []
        var details: [String] = []
        if !missing.isEmpty {
            calls.append(.init(path: path + "/endpoints", body: EndpointText.json(missing)))
            details.append(missing.count == 1 ? "1 endpoint" : "\(missing.count) endpoints")
        }
        func headers(_ topic: JSONValue?) -> HeaderMap { topic?["headers"].flatMap { try? HeaderMap(json: $0) } ?? [:] }
        let wanted = headers(source)
        if !wanted.isEmpty, Set(wanted.entries) != Set(headers(target).entries) {
            var json = JSONText()
            json.object { $0.field("headers", wanted) }
            calls.append(.init(method: "PATCH", path: path, body: json.bytes))
            details.append("default headers")
        }
        return ImportStep("topic", name, isNew: target == nil, details, calls)
    }

    private static func queue(_ source: JSONValue, _ target: JSONValue?) -> ImportStep {
        let name = source.shown("name")
        let parallelism = source["parallelism"]?.int ?? 1
        let isPaused = source["paused"]?.bool ?? false
        var details: [String] = []
        if target?["parallelism"]?.int != parallelism { details.append("parallelism \(parallelism)") }
        if isPaused != (target?["paused"]?.bool ?? false) { details.append(isPaused ? "paused" : "running") }
        let call = ImportStep.Call(
            path: "/v2/queues", body: Queues.settings(name, parallelism: Int(clamping: parallelism), isPaused: isPaused)
        )
        return ImportStep("queue", name, isNew: target == nil, details, details.isEmpty ? [] : [call])
    }

    /// Limits that are not pinned come with the messages of a key; pins and the pause are settings.
    private static func flow(_ source: JSONValue, _ target: JSONValue?) -> ImportStep {
        let key = source.shown("flowControlKey")
        var (calls, details): ([ImportStep.Call], [String]) = ([], [])
        func has(_ flow: JSONValue?, _ name: String) -> Bool { flow?[name]?.bool ?? false }
        func differs(_ names: String...) -> Bool { names.contains { source[$0]?.int != target?[$0]?.int } }
        let parallelism = source["parallelismMax"]?.int ?? 0
        let (rate, period) = (source["rateMax"]?.int ?? 0, source["ratePeriod"]?.int ?? 1)
        let isPinned = (has(source, "isPinnedParallelism"), has(source, "isPinnedRate"))
        let wasPinned = (has(target, "isPinnedParallelism"), has(target, "isPinnedRate"))
        let pinsParallelism = isPinned.0 && parallelism > 0 && (!wasPinned.0 || differs("parallelismMax"))
        let pinsRate = isPinned.1 && rate > 0 && (!wasPinned.1 || differs("rateMax", "ratePeriod"))
        if pinsParallelism { details.append("parallelism pinned to \(parallelism)") }
        if pinsRate { details.append("rate pinned to \(rate) in \(period)s") }
        if pinsParallelism || pinsRate {
            calls.append(
                .init(
                    path: Flows.path(key, "pin"),
                    query: Flows.pins(
                        parallelism: pinsParallelism ? parallelism : nil, rate: pinsRate ? rate : nil,
                        period: pinsRate ? period : nil)))
        }
        let unpins = (wasPinned.0 && !isPinned.0, wasPinned.1 && !isPinned.1)
        if unpins.0 || unpins.1 {
            details.append("unpinned")
            calls.append(
                .init(path: Flows.path(key, "unpin"), query: Flows.unpins(parallelism: unpins.0, rate: unpins.1)))
        }
        if has(source, "isPaused") != has(target, "isPaused") {
            let verb = has(source, "isPaused") ? "pause" : "resume"
            details.append(verb + "d")
            calls.append(.init(path: Flows.path(key, verb)))
        }
        return ImportStep("flow", key, isNew: target == nil, details, calls)
    }

    private static func schedule(_ source: JSONValue, _ target: JSONValue?) -> ImportStep {
        let id = source.shown("scheduleId")
        guard let wanted = ScheduleCopy(source) else {
            return ImportStep(skipping: "schedule", id, because: "it can't be read")
        }
        let known = target.flatMap(ScheduleCopy.init)
        var details = known.map(wanted.differences) ?? ["\(wanted.cron) to \(wanted.destination)"]
        if wanted.isRedacted {
            if known != nil, details.isEmpty { return ImportStep("schedule", id, isNew: false, [], []) }
            return ImportStep(skipping: "schedule", id, because: "it is redacted: its real content is never shown")
        }
        var calls: [ImportStep.Call] = []
        if !details.isEmpty {
            calls.append(
                .init(
                    path: "/v2/schedules/" + DestinationText.encoded(wanted.destination), headers: wanted.request,
                    body: wanted.body))
        }
        if wanted.isPaused != (known?.isPaused ?? false) {
            details.append(wanted.isPaused ? "paused" : "running")
            calls.append(.init(path: Schedules.path(id) + (wanted.isPaused ? "/pause" : "/resume")))
        }
        return ImportStep("schedule", id, isNew: known == nil, details, calls)
    }
}
