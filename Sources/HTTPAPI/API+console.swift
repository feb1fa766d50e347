/// `/console/api/…`: what the web console shows and the QStash surface does not have. Not part of the contract: only the
/// pages of the same binary call it. A token that may read may call all of it.

import Domain
import Engine

extension API {
    private static let consolePath = "/console/api/"
    /// Rows of one page of live messages, and rows looked at for it and for a count.
    private static let pageRows = 100
    private static let mostScanned = 20_000
    /// Lanes of one answer: a script looks at a hundred in a millisecond or two.
    private static let mostLanes = 5_000

    /// Nil for a path that is not the console's.
    func consoleData(
        _ request: APIRequest, _ access: Authenticator.Access
    ) async throws(RequestError) -> APIResponse? {
        guard request.target.hasPrefix(Self.consolePath) else { return nil }
        try access.require(.read)
        let call = request.target.dropFirst(Self.consolePath.count).prefix { $0 != "?" }
        let method = call == "check" ? "POST" : "GET"
        guard request.method == method else { throw .methodNotAllowed(allow: method) }
        var response: APIResponse
        switch call {
        case "session": response = session(access)
        case "overview": response = try await overview()
        case "messages": response = try await liveMessages(request)
        case "count": response = try await countMatching(request)
        case "why": response = try await why(request)
        case "lanes": response = try await lanes(request)
        case "histogram": response = try await histogram(request)
        case "tail": response = try tail(request)
        case "check": response = try check(request)
        default: throw .routeNotFound
        }
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }

    /// The token's name and what it may do, so that a page offers only what would work.
    private func session(_ access: Authenticator.Access) -> APIResponse {
        func may(_ scope: Scopes) -> Bool { (try? access.require(scope)) != nil }
        var json = JSONText()
        json.object { json in
            json.field("token", access.token.name)
            json.field("publish", may(.publish))
            json.field("manage", may(.manage))
            json.field("admin", may(.admin))
        }
        return APIResponse(json: json.bytes)
    }

    private func overview() async throws(RequestError) -> APIResponse {
        let start = ContinuousClock.now
        let gauges = await store.measure()
        let trip = ContinuousClock.now - start
        let problem = gauges == nil ? "Redis does not answer" : await store.checkWrites()
        let minutes = gauges == nil ? [] : try await stored { try await store.stats() }
        var json = JSONText(capacity: 8192)
        json.object { json in
            json.field("now", store.clock.now)
            json.field("redisProblem", ifAny: problem)
            json.field(
                "redisMicroseconds",
                trip.components.seconds * 1_000_000 + trip.components.attoseconds / 1_000_000_000_000)
            if let gauges { write(gauges, to: &json) }
            json.key("minutes")
            json.array { json in
                for minute in minutes {
                    json.object { json in
                        json.field("time", minute.minute * 60_000)
                        for field in Tally.allCases { json.field(field.rawValue, minute.counts[field] ?? 0) }
                    }
                }
            }
        }
        return APIResponse(json: json.bytes)
    }

    private func write(_ gauges: StoreGauges, to json: inout JSONText) {
        json.field("live", gauges.live)
        json.field("due", gauges.due)
        json.field("waiting", gauges.waiting.values.reduce(0, +))
        json.field("inFlight", gauges.held.values.reduce(0, +))
        json.field("deadLetters", gauges.deadLetters)
        json.field("openLanes", gauges.openLanes)
        json.field("logBytes", gauges.logBytes)
        json.field("logShed", gauges.logShed)
        if let oldest = gauges.oldestDue { json.field("oldestDue", oldest) }
    }

    /// Live messages, the newest first: the filters of a bulk cancel, and `state` (waiting, active, retry), `behind` (the
    /// `next` of the page before).
    private func liveMessages(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        let own: Set<String> = ["state", "behind"]
        let pairs = try Self.textQuery(request.target)
        let query = try ListQuery.read(pairs.filter { !own.contains($0.name) }, of: .messages, limits: settings.limits)
        let state = pairs.first { $0.name == "state" }?.value ?? ""
        let behind = pairs.first { $0.name == "behind" }?.value
        if let behind, behind.split(separator: " ").count != 2 { throw .badRequest("invalid behind") }
        var rows: [ListRow] = []
        var next: String?
        var (last, scanned) = ("", 0)
        try await stored {
            try await store.walk(.messages, query, rows: 500, behind: behind) { row in
                if rows.count == Self.pageRows || scanned == Self.mostScanned {
                    next = last
                    return false
                }
                scanned += 1
                last = "\(row.score) \(row.member)"
                guard row.state == "waiting" || row.state == "active", Store.passes(row, query) else { return true }
                let fits =
                    switch state {
                    case "": true
                    case "retry": row.state == "waiting" && (Int(row.status) ?? 0) > 0
                    default: row.state == state
                    }
                if fits { rows.append(row) }
                return true
            }
        }
        var json = JSONText(capacity: 256 * rows.count + 64)
        json.object { json in
            json.field("next", ifAny: next)
            json.field("scanned", scanned)
            json.key("messages")
            json.array { json in
                for row in rows { Self.write(row, to: &json) }
            }
        }
        return APIResponse(json: json.bytes)
    }

    private static func write(_ row: ListRow, to json: inout JSONText) {
        guard let record = row.record else { return }
        json.object { json in
            json.field("messageId", row.messageID)
            json.field("state", row.state)
            json.field("url", record.url)
            json.field("method", record.method.rawValue)
            json.field("createdAt", record.createdAt)
            json.field("notBefore", record.notBefore)
            json.field("retried", Int(row.status) ?? 0)
            json.field("queueName", ifAny: record.queue)
            json.field("flowControlKey", ifAny: record.flowControl?.key)
            json.field("topicName", ifAny: record.topic)
            json.field("labels", ifAny: record.labels)
        }
    }

    /// How many a bulk act would hit; `of` is `messages` or `dead`, the rest its filters.
    private func countMatching(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        let pairs = try Self.textQuery(request.target)
        let isDead = pairs.first { $0.name == "of" }?.value == "dead"
        let query = try ListQuery.read(
            pairs.filter { $0.name != "of" }, of: isDead ? .dead : .messages, limits: settings.limits)
        var (count, scanned) = (0, 0)
        var isWhole = true
        try await stored {
            try await store.walk(isDead ? .dead : .messages, query) { row in
                guard scanned < Self.mostScanned else {
                    isWhole = false
                    return false
                }
                scanned += 1
                let isLive = isDead || row.state == "waiting" || row.state == "active"
                if isLive, Store.passes(row, query), query.filter.passes(status: row.status) { count += 1 }
                return true
            }
        }
        var json = JSONText()
        json.object { json in
            json.field("count", count)
            json.field("isWhole", isWhole)
        }
        return APIResponse(json: json.bytes)
    }

    private func why(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        guard let id = Self.query(request.target).first(where: { $0.name == "id" })?.value else {
            throw .badRequest("id is missing")
        }
        let reason = try await stored {
            try await store.whyWaiting(id, maxInFlight: settings.maxInFlight, laneShare: settings.laneShare)
        }
        var json = JSONText()
        json.object { json in
            json.field("reason", reason.reason)
            json.field("subject", reason.subject)
            json.field("sentence", ifAny: reason.sentence)
            json.field("retried", reason.retried)
            if !reason.error.isEmpty { json.field("lastError", reason.error) }
        }
        return APIResponse(json: json.bytes)
    }

    /// What waits in lanes and since when, of the queues, flow keys and endpoints asked for: `queueName`, `flowControlKey`
    /// and `topicName`, each as often as wanted.
    private func lanes(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        var asked: [(kind: String, name: String, lanes: [String])] = []
        for (kind, name) in try Self.textQuery(request.target) {
            switch kind {
            case "queueName": asked.append((kind, name, [Lane.name(ofQueue: name)]))
            case "flowControlKey": asked.append((kind, name, [Lane.name(ofFlowKey: name)]))
            case "topicName":
                let topic = try await stored { try await store.topic(name) }
                asked.append((kind, name, (topic?.endpoints ?? []).map { Lane.name(ofTopic: name, endpoint: $0.url) }))
            default: throw .unknownParameter(kind)
            }
        }
        let names = asked.flatMap(\.lanes)
        guard names.count <= Self.mostLanes else {
            throw .badRequest("too many lanes: \(Self.mostLanes) at most, these are \(names.count)")
        }
        let found = try await stored { try await store.waiting(in: names) }
        var at = 0
        var json = JSONText(capacity: 96 * asked.count + 16)
        json.object { json in
            json.key("lanes")
            json.array { json in
                for item in asked {
                    let lanes = found.dropFirst(at).prefix(item.lanes.count)
                    at += item.lanes.count
                    json.object { json in
                        json.field(item.kind, item.name)
                        json.field("waiting", lanes.reduce(0) { $0 + $1.count })
                        if let oldest = lanes.compactMap(\.due).min() { json.field("oldestDue", oldest) }
                    }
                }
            }
        }
        return APIResponse(json: json.bytes)
    }

    /// `{"signature":…,"url"?:…,"body"?:…}`: which check of a receiver would fail.
    private func check(_ request: APIRequest) throws(RequestError) -> APIResponse {
        guard let members = try? JSONValue.read(request.body).object, let signature = members["signature"]?.string
        else {
            throw .badRequest("signature is missing")
        }
        var url = members["url"]?.string
        if url?.isEmpty == true { url = nil }
        var json = JSONText()
        json.object { json in
            do {
                try SignatureVerifier(keys: keys.keys).verify(
                    ASCII.trimmed(signature), url: url, body: Array((members["body"]?.string ?? "").utf8),
                    now: store.clock.now)
                json.field("valid", true)
            } catch {
                json.field("valid", false)
                json.field("problem", "\(error)")
            }
        }
        return APIResponse(json: json.bytes)
    }
}
