/// One server process: Redis, the node's loops, the HTTP front, wired together, from start to drained.

import Console
import CurlLink
import Domain
import Engine
import Foundation
import HTTPAPI
import Logging
import NIOCore
import NIOPosix
import RedisLink
import Synchronization

struct Server: Sendable {
    let settings: Settings
    let redisURL: RedisURL
    let logger: Logger
    /// `roost dev` starts its own Redis, whose settings are known.
    var trustsRedis = false
    /// Serves a request before the API sees it.
    var extra: (@Sendable (APIRequest, SigningKeyring) async -> APIResponse?)?
    /// Called with the port when everything runs.
    var ready: @Sendable (_ port: Int) -> Void = { _ in }
    /// Called where a second signal ends the process at once.
    var lastWords: @Sendable () -> Void = {}

    init(settings: Settings, redisURL: RedisURL, logger: Logger) {
        (self.settings, self.redisURL, self.logger) = (settings, redisURL, logger)
    }

    /// For requests and for Redis. The other half of the cores is curl's and Redis's: on two, a second thread answers constants
    /// faster, but messages no faster, and wakes the first for half of them.
    private static var networkThreads: Int { min(max(System.coreCount / 2, 1), 8) }

    /// Runs until a signal, then drains. Throws `CommandFailure` where it can't start.
    func run(stop signals: StopSignals) async throws {
        Resources.raiseDescriptorLimit()
        ProcessMetrics.begin()
        let stopping = Stopping()
        let watching = Task {
            await signals.watch(
                stop: { name in
                    logger.notice("\(name): draining, a second signal ends at once")
                    stopping.begin()
                }, lastWords: lastWords)
        }
        let certificate = try loadCertificate()
        let reloading = Task {
            await signals.watch(reload: { reload(certificate) })
        }
        defer {
            watching.cancel()
            reloading.cancel()
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.networkThreads)
        do {
            try await listen(group: group, certificate: certificate, stopping: stopping)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
        logger.notice("stopped")
    }

    /// The port is open from the start: while Redis is away, or loads a large file, the process is alive and says so.
    private func listen(
        group: MultiThreadedEventLoopGroup, certificate: ServerCertificate?, stopping: Stopping
    ) async throws {
        let metrics = EngineMetrics()
        let apiMetrics = APIMetrics(registry: metrics.registry)
        let door = Door(
            registry: metrics.registry, authenticator: Authenticator(tokens: settings.accessTokens),
            patience: settings.engine.store.storeTimeout)
        var frontSettings = frontSettings
        frontSettings.certificate = certificate
        // What is served beside the API in development needs no token.
        if extra == nil { frontSettings.admits = { door.refusal(of: $0) } }
        frontSettings.takes = { door.takes($0, $1) }
        let front = HTTPFront(settings: frontSettings, group: group, metrics: apiMetrics, logger: logger) {
            await door.respond(to: $0)
        }
        let port: Int
        do {
            port = try await front.start()
        } catch {
            throw CommandFailure(text: "can't listen on \(settings.host):\(settings.port): \(plainText(of: error))")
        }
        do {
            try await run(
                group: group, front: front, door: door, metrics: metrics, apiMetrics: apiMetrics, port: port,
                stopping: stopping)
        } catch {
            await front.shutDown(within: .zero)
            throw error
        }
        await front.shutDown(within: .zero)
    }

    private func loadCertificate() throws -> ServerCertificate? {
        guard let file = settings.tlsCertificate, let key = settings.tlsKey else { return nil }
        do {
            return try ServerCertificate(certificate: file, key: key)
        } catch {
            throw CommandFailure(
                text: "ROOST_TLS_CERT, ROOST_TLS_KEY: can't use \(file) with \(key): \(error)", status: 2)
        }
    }

    private func reload(_ certificate: ServerCertificate?) {
        guard let certificate else { return logger.notice("SIGHUP: nothing to read again") }
        do {
            try certificate.reload()
            logger.notice("SIGHUP: the certificate was read again")
        } catch {
            logger.error("SIGHUP: the certificate can't be used, the old one stays: \(error)")
        }
    }

    private func run(
        group: MultiThreadedEventLoopGroup, front: HTTPFront, door: Door, metrics: EngineMetrics,
        apiMetrics: APIMetrics, port: Int, stopping: Stopping
    ) async throws {
        let redisLoop = group.next()
        let nodeBox = NodeBox()
        let redis = RedisClient(url: redisURL, loop: redisLoop, logger: logger) { isFirst in
            if !isFirst { nodeBox.node?.reconnected() }
        }
        do {
            try await run(
                group: group, redis: redis, nodeBox: nodeBox, front: front, door: door, metrics: metrics,
                apiMetrics: apiMetrics, port: port, stopping: stopping)
        } catch {
            await redis.shutDown()
            throw error
        }
        await redis.shutDown()
    }

    private func run(
        group: MultiThreadedEventLoopGroup, redis: RedisClient, nodeBox: NodeBox, front: HTTPFront, door: Door,
        metrics: EngineMetrics, apiMetrics: APIMetrics, port: Int, stopping: Stopping
    ) async throws {
        guard try await waitForRedis(redis, stopping) else { return }
        if !trustsRedis {
            try await RedisCheck(
                redis: redis, channel: settings.engine.store.root + ":wake",
                requirePersistence: settings.requirePersistence, logger: logger
            ).run()
        }
        let store = Store(
            redis: redis, clock: NodeClock(), settings: settings.engine.store, logger: logger, metrics: metrics)
        let keyring: SigningKeyring
        do {
            // Each looks closer: the first replies come while everything starts.
            for _ in 0..<5 { try await store.clock.sync(over: redis) }
            try await store.checkSchema()
            try await store.configureLog()
            keyring = SigningKeyring(try await store.signingKeys(initial: settings.signingKeys))
        } catch {
            throw CommandFailure(text: Self.text(error))
        }
        if let given = settings.signingKeys, given != keyring.keys {
            logger.warning("the signing keys in Redis differ from the ones configured: Redis's are in force")
        }
        try await serve(
            group: group, redis: redis, store: store, keyring: keyring, nodeBox: nodeBox, front: front, door: door,
            apiMetrics: apiMetrics, port: port, stopping: stopping)
    }

    private func serve(
        group: MultiThreadedEventLoopGroup, redis: RedisClient, store: Store, keyring: SigningKeyring, nodeBox: NodeBox,
        front: HTTPFront, door: Door, apiMetrics: APIMetrics, port: Int, stopping: Stopping
    ) async throws {
        let curl = settings.roles.contains(.deliver) ? try makeCurl() : nil
        defer { curl?.shutDown() }
        let node = curl.map { curl in
            Node(
                store: store, settings: settings.engine, keys: keyring, timers: redis.loop,
                sender: CurlSender(
                    curl, limits: settings.engine.limits, literals: settings.proxy == nil ? nil : settings.policy))
        }
        nodeBox.node = node
        // What befalls its connection the first one tells.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        let own = RedisClient(url: redisURL, loop: group.next(), logger: quiet)
        let confirmer = Confirmer(redis: own, root: settings.engine.store.root)
        if case .replica(let count) = settings.ack,
            await !confirmer.hasReached(replicas: count, deadline: .now + .milliseconds(500))
        {
            logger.warning(
                "ROOST_ACK is replica:\(count), but fewer replicas confirm a write: while it stays so each publish is answered 503"
            )
        }
        if settings.ack == .fsync, await !confirmer.syncsAlways() {
            await own.shutDown()
            throw CommandFailure(
                text: "ROOST_ACK is fsync, but Redis does not sync its append-only file always, or does not tell: "
                    + "set appendonly yes and appendfsync always")
        }
        let pages = StatusReport(
            store: store, node: node, registry: store.metrics.registry, lease: settings.engine.lease,
            maxInFlight: settings.engine.maxInFlight, stopping: stopping
        ).pages
        var beside: (@Sendable (APIRequest) async -> APIResponse?)?
        if let extra { beside = { await extra($0, keyring) } }
        let api = API(
            store: store, keys: keyring, confirmer: confirmer,
            authenticator: Authenticator(tokens: settings.accessTokens),
            settings: settings.apiSettings, status: pages, metrics: apiMetrics, logger: logger,
            extra: beside)
        if settings.roles.contains(.api) {
            door.open(
                { request in
                    if let page = WebPages.respond(to: request) { return page }
                    return await api.respond(to: request)
                }, refuse: { api.refusal($0) }, take: { api.takePlainPublish($0, $1) })
        } else {
            door.open(
                { await pages.respond(to: $0) ?? APIResponse(RequestError.routeNotFound) },
                refuse: { _ in Refusal(.routeNotFound) })
        }
        let wakeups = RedisSubscription(
            url: redisURL, channel: settings.engine.store.root + ":wake", loop: redis.loop, logger: logger
        ) { node?.wake($0) }
        await withTaskGroup(of: Void.self) { tasks in
            if let node { tasks.addTask { await node.run() } }
            let clock = Task { await followRedis(store, redis, keyring) }
            announce(port)
            await stopping.wait()
            let deadline = ContinuousClock.now + settings.engine.drainTimeout
            // Who watches is answered to the end: the pages say "draining".
            door.leave(pages)
            front.drain()
            node?.shutDown()
            await tasks.waitForAll()
            await front.shutDown(within: max(.zero, deadline - .now))
            clock.cancel()
            await own.shutDown()
            await wakeups.shutDown()
        }
    }

    private func announce(_ port: Int) {
        let host = settings.host.contains(":") ? "[\(settings.host)]" : settings.host
        logger.notice(
            "running at \(settings.tlsCertificate == nil ? "http" : "https")://\(host):\(port)",
            metadata: ["roles": "\(settings.roles.map(\.rawValue).sorted().joined(separator: ","))"])
        ready(port)
    }

    private var frontSettings: FrontSettings {
        var front = FrontSettings()
        front.host = settings.host
        front.port = settings.port
        let limits = settings.engine.limits
        front.maxHeaderBytes = limits.maxHeaderBytes
        front.maxBody = { Route.bodyLimit($0, $1, limits: limits) }
        front.maxBodiesBytes = max(front.maxBodiesBytes, 2 * limits.maxBatchBytes)
        front.maxConnections = Resources.connections(besides: settings.engine.maxInFlight, atMost: front.maxConnections)
        return front
    }

    private func makeCurl() throws -> CurlClient {
        var curl = CurlSettings()
        curl.threads = System.coreCount > 4 ? 2 : 1
        curl.caFile = try Resources.trustRoots(
            extra: settings.caFile, environment: ProcessInfo.processInfo.environment)
        curl.proxy = settings.proxy
        if settings.proxy == nil {
            curl.addressGuard = CurlSender.addressGuard(settings.policy)
        } else {
            logger.warning(
                "deliveries go through a proxy: Roost judges names and literal addresses only, the proxy must guard the rest"
            )
        }
        return CurlClient(settings: curl)
    }

    /// What waiting does not mend: at the start it is a wrong setting. Later it is waited out, like any outage.
    private static let refusals = ["WRONGPASS", "NOAUTH", "NOPERM", "DB index is out of range"]

    /// Redis may start later than Roost, or load a large file: waiting is better than a crash loop.
    private func waitForRedis(_ redis: RedisClient, _ stopping: Stopping) async throws -> Bool {
        let reason = Mutex("")
        let complaint = Task {
            try await Task.sleep(for: .milliseconds(300))
            logger.warning("waiting for Redis at \(redisURL)")
            while true {
                try await Task.sleep(for: .seconds(60))
                logger.warning("still waiting for Redis: \(reason.withLock { $0 })")
            }
        }
        defer { complaint.cancel() }
        while !stopping.hasBegun {
            do {
                _ = try await redis.send(RedisCommand("PING"))
                return true
            } catch {
                if case .server(let text) = error, !error.isTemporary { throw CommandFailure(text: "Redis: \(text)") }
                if Self.refusals.contains(where: "\(error)".contains) { throw CommandFailure(text: "\(error)") }
                reason.withLock { $0 = "\(error)" }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        return false
    }

    /// Redis's time, for a process without a node whose renewals keep it, and keys that another process has rotated, where
    /// the word of it was lost.
    private func followRedis(_ store: Store, _ redis: RedisClient, _ keyring: SigningKeyring) async {
        var counted: [Tally: Int64] = [:]
        var aside = await store.aside(beyond: 0).count
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(3))
            counted = await store.record(progressSince: counted)
            let set = await store.aside(beyond: aside)
            for line in set.newest { logger.error("something in Redis can't be used and was set aside: \(line)") }
            let more = set.count - aside - set.newest.count
            if more > 0 { logger.error("\(more) things more were set aside: roost doctor names them") }
            aside = set.count
            try? await store.clock.sync(over: redis)
            if (try? await store.mendEmptied(keys: keyring.keys)) == true {
                logger.error("Redis was emptied: what waited is gone, new messages go on")
            }
            if let keys = try? await store.signingKeys(initial: keyring.keys) { keyring.replace(keys) }
        }
    }

    private static func text(_ error: any Error) -> String {
        guard let error = error as? StoreError else { return "\(error)" }
        return switch error {
        case .refused(let text), .broken(let text): text
        case .unavailable, .outcomeUnknown: "Redis went away while the server started"
        }
    }
}

/// The node is made after the connection that tells it about reconnects.
private final class NodeBox: Sendable {
    private let box = Mutex<Node?>(nil)
    var node: Node? {
        get { box.withLock { $0 } }
        set { box.withLock { $0 = newValue } }
    }
}

/// Set once, awaited by one.
final class Stopping: Sendable {
    private let state = Mutex((begun: false, waiter: CheckedContinuation<Void, Never>?.none))

    var hasBegun: Bool { state.withLock { $0.begun } }

    func begin() {
        let waiter = state.withLock { state in
            defer { state = (true, nil) }
            return state.waiter
        }
        waiter?.resume()
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let begun = state.withLock { state in
                if !state.begun { state.waiter = continuation }
                return state.begun
            }
            if begun { continuation.resume() }
        }
    }
}
