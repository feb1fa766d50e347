/// Every setting of running.md: its name, how its text is read, what it is for. The README's table is this one.

import Domain
import Engine
import Logging
import RedisLink

/// Why a value can't be used; never quotes a secret.
struct InvalidSetting: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

struct Setting: Sendable {
    let name: String
    /// Secrets may come from a file named by `<NAME>_FILE` and are never shown.
    let isSecret: Bool
    let help: String
    let apply: @Sendable (String, inout Settings) throws -> Void

    private init(
        _ name: String, secret: Bool, _ help: String,
        _ apply: @escaping @Sendable (String, inout Settings) throws -> Void
    ) {
        (self.name, isSecret, self.help, self.apply) = (name, secret, help, apply)
    }

    static func plain(
        _ name: String, _ help: String, _ apply: @escaping @Sendable (String, inout Settings) throws -> Void
    ) -> Setting { Setting(name, secret: false, help, apply) }

    static func secret(
        _ name: String, _ help: String, _ apply: @escaping @Sendable (String, inout Settings) throws -> Void
    ) -> Setting { Setting(name, secret: true, help, apply) }

    static let all: [Setting] = server + secrets + network + delivery + limits
    static func named(_ name: String) -> Setting? { all.first { $0.name == name } }

    private static let server: [Setting] = [
        .secret("ROOST_REDIS_URL", "redis://[user:password@]host:port[/db], rediss://…, unix:///path") {
            text, settings in
            do { settings.redisURL = try RedisURL(text) } catch { throw InvalidSetting("\(error)") }
        },
        .plain("ROOST_LISTEN", "address of the API, host:port") { text, settings in
            (settings.host, settings.port) = try SettingText.hostAndPort(text)
            settings.listenIsGiven = true
        },
        .plain("PORT", "port of the API where ROOST_LISTEN is not given") { text, settings in
            let port = try SettingText.integer(text, 0...65_535)
            if !settings.listenIsGiven { settings.port = port }
        },
        .plain("ROOST_ROLES", "what this process does: api, deliver or both") { text, settings in
            settings.roles = Set(try SettingText.list(text).map { try SettingText.choice($0, of: Settings.Role.self) })
            if settings.roles.isEmpty { throw InvalidSetting("must name at least one of api, deliver") }
        },
        .plain("ROOST_PREFIX", "first part of every key in Redis") { text, settings in
            let isPlain = text.utf8.allSatisfy { ASCII.isAlphanumeric($0) || "-_.:".utf8.contains($0) }
            guard isPlain, (1...64).contains(text.utf8.count) else {
                throw InvalidSetting("must be 1 to 64 of A-Z a-z 0-9 - _ . :")
            }
            settings.engine.store.prefix = text
        },
        .plain("ROOST_TLS_CERT", "PEM file: TLS for the API, the server's certificate first; read again on SIGHUP") {
            text, settings in
            settings.tlsCertificate = text
        },
        .plain("ROOST_TLS_KEY", "PEM file with the key of that certificate") { text, settings in
            settings.tlsKey = text
        },
        .plain("ROOST_REQUIRE_PERSISTENCE", "refuse to start where Redis keeps no append-only file") { text, settings in
            settings.requirePersistence = try SettingText.boolean(text)
        },
        .plain("ROOST_LOG_LEVEL", "trace, debug, info, notice, warning, error, critical") { text, settings in
            guard let level = Logger.Level(rawValue: text.lowercased()) else {
                throw InvalidSetting("must be one of " + Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))
            }
            settings.logLevel = level
        },
        .plain("ROOST_LOG_FORMAT", "text or json") { text, settings in
            settings.logFormat = try SettingText.choice(text, of: Settings.LogFormat.self)
        },
    ]

    private static let secrets: [Setting] = [
        .secret("QSTASH_TOKEN", "the token with all rights") { text, settings in
            settings.token = try SettingText.secret(text)
        },
        .secret("ROOST_TOKENS", #"further tokens: [{"name":"ci","secret":"…","scopes":["publish","read"]}]"#) {
            text, settings in
            do { settings.tokens = try AccessToken.parseList(Array(text.utf8)) } catch {
                throw InvalidSetting("\(error)")
            }
        },
        .secret("QSTASH_CURRENT_SIGNING_KEY", "signs deliveries; used only while Redis has no keys") { text, settings in
            settings.currentSigningKey = try SettingText.secret(text)
        },
        .secret("QSTASH_NEXT_SIGNING_KEY", "the key that follows; used only while Redis has no keys") {
            text, settings in
            settings.nextSigningKey = try SettingText.secret(text)
        },
    ]

    private static let network: [Setting] = [
        .plain("ROOST_ALLOW_NETWORKS", "private ranges that may be delivered to: 10.0.0.0/8,fd00::/8") {
            text, settings in
            settings.allowNetworks = try SettingText.networks(text)
        },
        .plain("ROOST_ALLOW_HOSTS", "hosts that may be delivered to although private") { text, settings in
            settings.allowHosts = SettingText.list(text)
        },
        .plain("ROOST_ALLOW_PRIVATE", "open all but metadata addresses") { text, settings in
            settings.allowPrivate = try SettingText.boolean(text)
        },
        .plain("ROOST_CA_FILE", "PEM file with further trust roots for deliveries") { text, settings in
            settings.caFile = text
        },
        .secret("ROOST_PROXY", "proxy for deliveries: http://host:port") { text, settings in
            guard text.contains("://") else { throw InvalidSetting("must be a URL: http://host:port") }
            settings.proxy = text
        },
        .plain("ROOST_TRUSTED_PROXIES", "ranges whose X-Forwarded-For is believed") { text, settings in
            settings.trustedProxies = try SettingText.networks(text)
        },
        .plain("ROOST_REGION", "Upstash-Region of deliveries, empty for none") { text, settings in
            guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw InvalidSetting("must be one ASCII word")
            }
            settings.engine.region = text.isEmpty ? nil : text
        },
    ]

    private static let delivery: [Setting] = [
        .plain("ROOST_MAX_IN_FLIGHT", "deliveries at once in this process") { text, settings in
            settings.engine.maxInFlight = try SettingText.integer(text, 1...1_000_000)
        },
        .plain("ROOST_MAX_IN_FLIGHT_BYTES", "bytes of messages in flight in this process") { text, settings in
            settings.engine.maxInFlightBytes = try SettingText.bytes(text)
        },
        .plain("ROOST_LANE_SHARE", "a lane starts only with fewer in flight than share x what is free") {
            text, settings in
            guard let share = Double(text), share > 0, share <= 1000 else {
                throw InvalidSetting("must be a number above 0, at most 1000")
            }
            settings.engine.laneShare = share
        },
        .plain("ROOST_LEASE", "how long a node is believed alive without renewal") { text, settings in
            settings.engine.lease = try SettingText.duration(text, .milliseconds(300)...(.seconds(3600)))
        },
        .plain("ROOST_STORE_TIMEOUT", "how long a publish tries to confirm storage before 503") { text, settings in
            settings.engine.store.storeTimeout = try SettingText.duration(text, .milliseconds(100)...(.seconds(600)))
        },
        .plain("ROOST_ACK", "what a publish waits for: memory, fsync or replica:N; Roost-Ack says it for one") {
            text, settings in
            guard let level = AckLevel(text) else { throw InvalidSetting("must be memory, fsync or replica:N") }
            settings.ack = level
        },
        .plain("ROOST_DRAIN_TIMEOUT", "how long deliveries may end after SIGTERM") { text, settings in
            settings.engine.drainTimeout = try SettingText.duration(text, .zero...(.seconds(86_400)))
        },
        .plain("ROOST_CALLBACK_FORMAT", "observed or documented") { text, settings in
            settings.engine.callbackFormat = try SettingText.choice(text, of: CallbackFormat.self)
        },
        .plain("ROOST_DLQ_RETENTION", "how long dead letters are kept") { text, settings in
            settings.engine.store.deadLetterRetention = try SettingText.duration(
                text, .seconds(1)...(.seconds(3650 * 86_400)))
        },
        .plain("ROOST_LOG_RETENTION", "how long events stay in the log") { text, settings in
            settings.engine.store.logRetention = try SettingText.duration(
                text, .seconds(1)...(.seconds(3650 * 86_400)))
        },
        .plain("ROOST_LOG_MAX_BYTES", "size of the log in Redis, 0 for none; the oldest events go first") {
            text, settings in
            settings.engine.store.logMaxBytes = text == "0" ? 0 : max(1 << 20, try SettingText.bytes(text))
        },
        .plain("ROOST_LOG_BODY_BYTES", "what the log keeps of a body") { text, settings in
            settings.engine.store.logBodyBytes = text == "0" ? 0 : try SettingText.bytes(text)
        },
        .plain("ROOST_RATE_LIMIT", "of the API: burst=100 (calls a second), daily=1000 (messages a day), or off") {
            text, settings in
            guard let limit = RateLimit(text) else {
                throw InvalidSetting("must be off, or a list such as burst=100,daily=1000")
            }
            settings.rateLimit = limit
        },
    ]

    private static let limits: [Setting] = [
        .plain("ROOST_MAX_MESSAGE_BYTES", "request bodies above it get 413") { text, settings in
            settings.engine.limits.maxMessageBytes = try SettingText.bytes(text)
        },
        .plain("ROOST_MAX_BATCH_BYTES", "batch requests above it get 413") { text, settings in
            settings.engine.limits.maxBatchBytes = try SettingText.bytes(text)
        },
        .plain("ROOST_DEDUPLICATION_WINDOW", "how long a deduplication id stays taken") { text, settings in
            settings.engine.store.deduplicationWindow = try SettingText.duration(
                text, .seconds(1)...(.seconds(365 * 86_400)))
        },
        .plain("ROOST_MAX_QUEUES", "how many queues there may be") { text, settings in
            settings.engine.store.maxQueues = Int64(try SettingText.integer(text, 1...1_000_000_000))
            settings.engine.limits.maxQueues = settings.engine.store.maxQueues
        },
        .plain("ROOST_MAX_QUEUE_PARALLELISM", "highest parallelism of a queue") { text, settings in
            settings.engine.limits.maxQueueParallelism = Int64(try SettingText.integer(text, 1...1_000_000_000))
        },
        .plain("ROOST_MAX_SCHEDULES", "how many schedules there may be") { text, settings in
            settings.engine.store.maxSchedules = Int64(try SettingText.integer(text, 1...1_000_000_000))
            settings.engine.limits.maxSchedules = settings.engine.store.maxSchedules
        },
        .plain("ROOST_MAX_TOPICS", "how many topics there may be") { text, settings in
            settings.engine.store.maxTopics = Int64(try SettingText.integer(text, 1...1_000_000_000))
            settings.engine.limits.maxTopics = settings.engine.store.maxTopics
        },
        .plain("ROOST_MAX_FLOW_PERIOD", "longest period of a rate") { text, settings in
            settings.engine.limits.maxFlowControlPeriod = try SettingText.seconds(text)
        },
        .plain("ROOST_MAX_FLOW_KEY_BYTES", "longest flow control key") { text, settings in
            settings.engine.limits.maxFlowControlKeyBytes = try SettingText.integer(text, 1...16_384)
        },
        .plain("ROOST_MAX_RESPONSE_BYTES", "responses are cut there") { text, settings in
            settings.engine.limits.maxResponseBytes = try SettingText.bytes(text)
        },
        .plain("ROOST_MAX_DELAY", "longest delay and not-before") { text, settings in
            settings.engine.limits.maxDelay = try SettingText.seconds(text)
        },
        .plain("ROOST_MAX_RETRIES", "most retries a message may ask for") { text, settings in
            settings.engine.limits.maxRetries = Int64(try SettingText.integer(text, 0...1_000_000))
        },
        .plain("ROOST_DEFAULT_RETRIES", "retries of a message that does not say") { text, settings in
            settings.engine.limits.defaultRetries = Int64(try SettingText.integer(text, 0...1_000_000))
        },
        .plain("ROOST_MAX_TIMEOUT", "longest time for one attempt, also the default") { text, settings in
            settings.engine.limits.maxTimeout = try SettingText.seconds(text)
        },
        .plain("ROOST_MAX_RETRY_DELAY", "longest wait before a retry") { text, settings in
            settings.engine.limits.maxRetryDelay = try SettingText.seconds(text)
        },
        .plain("ROOST_MAX_ENDPOINTS", "endpoints of one topic") { text, settings in
            settings.engine.limits.maxEndpoints = Int64(try SettingText.integer(text, 1...1_000_000))
        },
        .plain("ROOST_MAX_URL_BYTES", "longest destination URL") { text, settings in
            settings.engine.limits.maxURLBytes = try SettingText.integer(text, 16...60_000)
        },
    ]
}
