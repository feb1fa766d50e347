/// The QStash surface: authentication, routes, and errors rendered at the edge. One file for each family of routes.

import Domain
import Engine
import Logging

package struct APISettings: Sendable {
    package var limits = Limits()
    package var policy = AddressPolicy()
    /// Networks whose `X-Forwarded-For` is believed for the caller's address.
    package var trustedProxies: [Network] = []
    /// Deliveries at once in one process: what `/v2/globalParallelism` answers as its limit.
    package var maxInFlight = 4096
    /// Of what is free on a node: what one lane may have in flight there.
    package var laneShare = 1.0
    package var rateLimit = RateLimit()
    /// Where a publish does not say.
    package var ack = AckLevel.memory
    /// How long a publish waits for replicas.
    package var ackTimeout: Duration = .seconds(10)
    package init() {}
}

/// A class: every request under way holds it, and a structure would be copied for each, reference by reference.
package final class API: Sendable {
    let store: Store
    let keys: SigningKeyring
    let confirmer: Confirmer
    let authenticator: Authenticator
    let settings: APISettings
    let status: StatusPages
    let metrics: APIMetrics
    let logger: Logger
    let wrongTokens = WrongTokens()
    private let refusals = LogBrake()
    private let faults = LogBrake()
    private let unconfirmed = LogBrake()
    let tails = Tails()
    /// Served before everything else where it answers: the echo endpoint of `roost dev`.
    let extra: (@Sendable (APIRequest) async -> APIResponse?)?

    package init(
        store: Store, keys: SigningKeyring, confirmer: Confirmer, authenticator: Authenticator, settings: APISettings,
        status: StatusPages,
        metrics: APIMetrics, logger: Logger, extra: (@Sendable (APIRequest) async -> APIResponse?)? = nil
    ) {
        (self.store, self.keys, self.authenticator, self.settings) = (store, keys, authenticator, settings)
        self.confirmer = confirmer
        (self.status, self.metrics, self.logger, self.extra) = (status, metrics, logger, extra)
    }

    /// Never throws: every error becomes an answer with `{"error": …}`.
    package func respond(to request: APIRequest) async -> APIResponse {
        if !Self.isVersioned(request.target) {
            if let extra, let response = await extra(request) { return response }
            if let response = await status.respond(to: request) { return response }
        }
        let response: APIResponse
        do throws(RequestError) {
            response = try await route(request)
        } catch {
            // Whoever only read has nothing to ask about.
            let isRead = request.method == "GET" && error == .storageOutcomeUnknown
            response = APIResponse(isRead ? .storageUnavailable : error)
            if error == .invalidToken { try? await Task.sleep(for: delay(ofWrongTokenIn: request)) }
        }
        metrics.count(status: response.status)
        return response
    }

    /// The QStash surface: nothing else is served below `/v…`.
    private static func isVersioned(_ target: String) -> Bool {
        target.utf8.starts(with: "/v".utf8) || target.utf8.starts(with: "/V".utf8)
    }

    /// Why a request is refused before its body is read: nobody without a token makes the server read much.
    package func refusal(_ request: APIRequest) -> Refusal? {
        do throws(RequestError) {
            _ = try authenticator.authenticate(request)
            return nil
        } catch {
            return Refusal(error, after: error == .invalidToken ? delay(ofWrongTokenIn: request) : .zero)
        }
    }

    private func delay(ofWrongTokenIn request: APIRequest) -> Duration {
        let address = callerIP(request)
        metrics.countWrongToken()
        let verdict = wrongTokens.record(address)
        if verdict.isFirstDelayed {
            logger.warning("many wrong tokens: answers to them are delayed", metadata: ["address": "\(address)"])
        }
        return verdict.delay
    }

    /// Authentication comes first, so that a path tells nothing to those without a token.
    private func route(_ request: APIRequest) async throws(RequestError) -> APIResponse {
        let access = try authenticator.authenticate(request)
        if !Self.isVersioned(request.target), let response = try await consoleData(request, access) { return response }
        guard let (route, version) = Route.find(request.method, request.target) else { throw .routeNotFound }
        guard route.methods.contains(request.method) else {
            throw .methodNotAllowed(allow: route.methods.joined(separator: ", "))
        }
        try access.require(route.scope(request.method))
        if !route.isPublishing { try await countBurst() }
        switch route {
        case .publish(let remainder):
            return try await acknowledged(request) { () throws(RequestError) in
                try await publish(request, remainder: remainder, access: access, version: version)
            }
        case .newSchedule(let remainder):
            return try await acknowledged(request) { () throws(RequestError) in
                try await publish(request, remainder: remainder, access: access, version: version, requiresCron: true)
            }
        case .enqueue(let queue, let remainder):
            return try await acknowledged(request) { () throws(RequestError) in
                try await publish(request, remainder: remainder, access: access, version: version, queue: queue)
            }
        case .batch:
            return try await acknowledged(request) { () throws(RequestError) in
                try await batch(request, access: access, version: version)
            }
        case .queues: return try await queues(request)
        case .queue(let name): return try await queue(request, name: name)
        case .queueSwitch(let name, let paused): return try await setQueue(name, paused: paused)
        case .flows: return try await flows(request)
        case .flow(let key): return try await flow(key)
        case .flowVerb(let key, let verb): return try await changeFlow(request, key: key, verb: verb)
        case .globalParallelism: return try await globalParallelism()
        case .schedules: return try await schedules()
        case .schedule(let id): return try await schedule(request, id: id)
        case .scheduleSwitch(let id, let paused): return try await setSchedule(id, paused: paused)
        case .message(let id): return try await message(request, id: id)
        case .messages(let hasSlash): return try await cancelMany(request, hasSlash: hasSlash)
        case .deadLetters(let hasSlash): return try await deadLetters(request, hasSlash: hasSlash)
        case .deadLetter(let id): return try await deadLetter(request, id: id)
        case .retryDead(let id): return try await retryDead(request, id: id, access: access)
        case .retryAllDead(let hasSlash): return try await retryDead(request, hasSlash: hasSlash, access: access)
        case .events: return try await log(request, name: "events")
        case .logs: return try await log(request, name: "logs")
        case .topics: return try await topics()
        case .topic(let name): return try await topic(request, name: name)
        case .endpoints(let topic): return try await endpoints(request, topic: topic)
        case .keys: return APIResponse(json: try await stored { try await store.signingKeys(initial: keys.keys) }.json)
        case .rotateKeys: return try await rotateKeys()
        }
    }

    /// Stores, and answers only when that is as safe as `Roost-Ack` asks, which the answer names.
    private func acknowledged(
        _ request: APIRequest, _ store: () async throws(RequestError) -> APIResponse
    ) async throws(RequestError) -> APIResponse {
        var level = settings.ack
        if let text = request.header("Roost-Ack"), !ASCII.trimmed(text).isEmpty {
            guard let asked = AckLevel(text) else {
                throw .header("Roost-Ack", "it must be memory, fsync or replica:N")
            }
            level = asked
        }
        if level == .fsync, await !confirmer.syncsAlways() {
            throw .header(
                "Roost-Ack", "fsync needs a Redis whose append-only file is synced always (appendfsync always)")
        }
        var response = try await store()
        if case .replica(let count) = level {
            let isReached = await confirmer.hasReached(replicas: count, deadline: .now + settings.ackTimeout)
            guard isReached else {
                if let more = unconfirmed.pass() {
                    logger.error(
                        "stored, but not confirmed by \(count) replicas in time", metadata: more)
                }
                throw .notConfirmed(replicas: count)
            }
        }
        response.headers.append(("Roost-Ack", level.description))
        return response
    }

    private func rotateKeys() async throws(RequestError) -> APIResponse {
        let pair = try await stored { try await store.rotateKeys() }
        keys.replace(pair)
        logger.notice("the signing keys were rotated")
        return APIResponse(json: pair.json)
    }

    private func countBurst() async throws(RequestError) {
        guard let limit = settings.rateLimit.burst else { return }
        try await count(.burst, 1, limit: limit)
    }

    /// Messages that are about to be published.
    func countDaily(_ messages: Int) async throws(RequestError) {
        guard let limit = settings.rateLimit.daily, messages > 0 else { return }
        try await count(.daily, messages, limit: limit)
    }

    /// Duplicates were counted before anybody knew that they were.
    func uncountDaily(_ messages: Int) async {
        guard let limit = settings.rateLimit.daily, messages > 0 else { return }
        _ = try? await store.count(.daily, -messages, limit: limit)
    }

    private func count(_ kind: RateLimit.Kind, _ amount: Int, limit: Int64) async throws(RequestError) {
        guard let over = try await stored({ try await store.count(kind, amount, limit: limit) }) else { return }
        throw .rateLimited(kind, limit: limit, left: over.left, reset: over.reset)
    }

    /// The value of `qstash_token`, the first one given, form-decoded.
    static func queryToken(_ target: String) -> String? {
        query(target).first { ASCII.equalIgnoringCase($0.name, "qstash_token") }?.value
    }

    /// The pairs of the query in their order, form-decoded.
    static func query(_ target: String) -> [HeaderField] {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        func decoded(_ bytes: some Sequence<UInt8>) -> String {
            String(
                decoding: Percent.decode(bytes.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }), as: UTF8.self)
        }
        return target.utf8[target.utf8.index(after: mark)...].split(separator: UInt8(ascii: "&")).map { pair in
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            return (decoded(name), decoded(pair.dropFirst(name.count + 1)))
        }
    }

    /// The same, of which every name and value must be text.
    static func textQuery(_ target: String) throws(RequestError) -> [HeaderField] {
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard UTF8Text.isValid(Percent.decode(Array(path))) else {
            throw .badRequest("invalid request target: its path is not valid UTF-8")
        }
        guard UTF8Text.isValid(Percent.decode(Array(target.utf8.dropFirst(path.count)))) else {
            throw .badRequest("invalid query: not valid UTF-8")
        }
        return query(target)
    }

    /// The connection's peer, or the last address in `X-Forwarded-For` that is no trusted proxy's.
    func callerIP(_ request: APIRequest) -> String {
        func isTrusted(_ text: String) -> Bool {
            guard let address = IPAddress(text) else { return false }
            return settings.trustedProxies.contains { $0.contains(address) }
        }
        guard !settings.trustedProxies.isEmpty, isTrusted(request.peer) else { return request.peer }
        let chain = request.headers.filter { ASCII.equalIgnoringCase($0.name, "X-Forwarded-For") }
            .flatMap { $0.value.split(separator: ",") }.map { ASCII.trimmed(String($0)) }
        var caller = request.peer
        for hop in chain.reversed() {
            guard IPAddress(hop) != nil else { break }
            caller = hop
            if !isTrusted(hop) { break }
        }
        return caller
    }

    /// Runs a call of the store with its errors as the contract words them (conventions.md §6).
    func stored<Value>(_ call: () async throws -> Value) async throws(RequestError) -> Value {
        do {
            return try await call()
        } catch let error as RequestError {
            throw error
        } catch let error as StoreError {
            throw answer(to: error)
        } catch {
            logger.critical("unexpected: \(error)")
            throw .internalError
        }
    }

    /// The same with what a call of the store ended with.
    func stored<Value>(_ result: Result<Value, StoreError>) throws(RequestError) -> Value {
        switch result {
        case .success(let value): return value
        case .failure(let error): throw answer(to: error)
        }
    }

    private func answer(to error: StoreError) -> RequestError {
        switch error {
        case .unavailable: return .storageUnavailable
        case .outcomeUnknown: return .storageOutcomeUnknown
        case .refused(let text):
            if let more = refusals.pass() {
                logger.error("Redis refuses to store: \(text)", metadata: more)
            }
            return .storageUnavailable
        case .broken(let text):
            if let more = faults.pass() {
                logger.critical("the store is broken: \(text)", metadata: more)
            }
            return .internalError
        }
    }
}

extension Authenticator {
    /// Whoever sent the request; 401 where its token is missing or wrong.
    package func authenticate(_ request: APIRequest) throws(RequestError) -> Access {
        try authenticate(authorization: request.header("Authorization"), queryToken: API.queryToken(request.target))
    }
}
