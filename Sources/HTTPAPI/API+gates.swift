/// /v2/queues, /v2/flowControl, /v2/globalParallelism (contract queues.md, flow-control.md).

import Domain
import Engine

extension API {
    func queues(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        if request.method == "POST" {
            let put = try QueueSettings.read(request.body, limits: settings.limits)
            let change = GateChange.put(parallelism: put.parallelism, isPaused: put.isPaused)
            let result = try await stored { try await store.change(queue: put.name, change) }
            if result == .tooManyQueues { throw .quota("maxQueues", limit: settings.limits.maxQueues ?? 0) }
            return .empty
        }
        let all = try await stored { try await store.allQueues() }
        var json = JSONText(capacity: 160 * all.count)
        json.array { json in
            for queue in all { queue.write(to: &json) }
        }
        return APIResponse(json: json.bytes)
    }

    func queue(_ request: APIRequest, name: String) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(name, kind: "queue")
        if request.method == "DELETE" {
            _ = try await stored { try await store.deleteQueue(name) }
            return .empty
        }
        guard let queue = try await stored({ try await store.queue(name) }) else { throw .queueNotFound(name) }
        var json = JSONText()
        queue.write(to: &json)
        return APIResponse(json: json.bytes)
    }

    func setQueue(_ name: String, paused: Bool) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(name, kind: "queue")
        let result = try await stored { try await store.change(queue: name, paused ? .pause : .resume) }
        if result == .missing { throw .queueNotFound(name) }
        return .empty
    }

    func flows(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        var search: String?
        for (name, value) in Self.query(request.target) where !ASCII.equalIgnoringCase(name, "qstash_token") {
            if ListQuery.alwaysAllowed.contains(name) { continue }
            guard name == "search" else { throw .unknownParameter(name) }
            search = value
        }
        let part = search
        let all = try await stored { try await store.allFlows(search: part) }
        var json = JSONText(capacity: 256 * all.count)
        json.array { json in
            for flow in all { flow.write(to: &json) }
        }
        return APIResponse(json: json.bytes)
    }

    func flow(_ key: String) async throws(RequestError) -> APIResponse {
        guard let flow = try await stored({ try await store.flow(key) }) else { throw .flowNotFound(key) }
        var json = JSONText()
        flow.write(to: &json)
        return APIResponse(json: json.bytes)
    }

    func changeFlow(_ request: APIRequest, key: String, verb: String) async throws(RequestError) -> APIResponse {
        guard !key.isEmpty else { throw .badRequest("flow control key must not be empty") }
        guard key.utf8.count <= settings.limits.maxFlowControlKeyBytes else {
            throw .badRequest("flow control key longer than \(settings.limits.maxFlowControlKeyBytes) bytes")
        }
        guard !ASCII.trimmed(key).isEmpty, HeaderName.isValidValue(key), !key.contains("\u{FFFD}") else {
            throw .badRequest("flow control key is blank or \(HeaderName.valueRule)")
        }
        guard let change = try GateChange.read(verb: verb, query: Self.query(request.target)) else {
            throw .routeNotFound
        }
        try await stored { try await store.change(flow: key, change) }
        return .empty
    }

    func globalParallelism() async throws(RequestError) -> APIResponse {
        let count = try await stored { try await store.inFlight() }
        var json = JSONText()
        json.object { json in
            json.field("parallelismMax", settings.maxInFlight)
            json.field("parallelismCount", count)
        }
        return APIResponse(json: json.bytes)
    }
}
