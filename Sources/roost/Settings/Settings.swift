/// What a server is told: one value, read once at the start. The table of names is in SettingTable.swift.

import Domain
import Engine
import HTTPAPI
import Logging
import RedisLink

struct Settings: Sendable {
    enum Role: String, Sendable, CaseIterable { case api, deliver }
    enum LogFormat: String, Sendable, CaseIterable { case text, json }

    var redisURL: RedisURL?
    var host = "127.0.0.1"
    var port = 8080
    /// `PORT` counts only where `ROOST_LISTEN` is silent.
    var listenIsGiven = false
    var roles: Set<Role> = [.api, .deliver]
    var token: String?
    var tokens: [AccessToken] = []
    var currentSigningKey: String?
    var nextSigningKey: String?
    var allowNetworks: [Network] = []
    var allowHosts: [String] = []
    var allowPrivate = false
    var caFile: String?
    var proxy: String?
    var trustedProxies: [Network] = []
    var requirePersistence = false
    var logLevel = Logger.Level.info
    /// Nil: text on a terminal, JSON elsewhere.
    var logFormat: LogFormat?
    var rateLimit = RateLimit()
    var ack = AckLevel.memory
    /// Paths of PEM files; both or none.
    var tlsCertificate: String?
    var tlsKey: String?
    var engine = EngineSettings()

    var policy: AddressPolicy {
        AddressPolicy(allowsPrivate: allowPrivate, networks: allowNetworks, hosts: allowHosts)
    }

    var apiSettings: APISettings {
        var settings = APISettings()
        settings.limits = engine.limits
        settings.policy = policy
        settings.trustedProxies = trustedProxies
        settings.maxInFlight = engine.maxInFlight
        settings.laneShare = engine.laneShare
        settings.rateLimit = rateLimit
        settings.ack = ack
        settings.ackTimeout = engine.store.storeTimeout
        return settings
    }

    var signingKeys: SigningKeys? {
        guard let currentSigningKey, let nextSigningKey else { return nil }
        return SigningKeys(current: currentSigningKey, next: nextSigningKey)
    }

    /// The token with all rights and the further ones.
    var accessTokens: [AccessToken] {
        (token.map { [AccessToken(name: "QSTASH_TOKEN", secret: $0, scopes: .admin)] } ?? []) + tokens
    }

    /// What no single value can show to be wrong.
    func contradictions() -> [String] {
        var found: [String] = []
        let limits = engine.limits
        if limits.defaultRetries > limits.maxRetries {
            found.append(
                "ROOST_DEFAULT_RETRIES (\(limits.defaultRetries)) is above ROOST_MAX_RETRIES (\(limits.maxRetries))")
        }
        // One secret has one set of rights.
        let tokens = accessTokens
        for (index, token) in tokens.enumerated() {
            guard let first = tokens[..<index].first(where: { $0.hasSecret(of: token) }) else { continue }
            found.append("ROOST_TOKENS: \(token.name) has the secret of \(first.name)")
        }
        if (currentSigningKey == nil) != (nextSigningKey == nil) {
            found.append("QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY must be given together")
        }
        if (tlsCertificate == nil) != (tlsKey == nil) {
            found.append("ROOST_TLS_CERT and ROOST_TLS_KEY must be given together")
        }
        if engine.maxInFlightBytes < limits.maxMessageBytes {
            found.append(
                "ROOST_MAX_IN_FLIGHT_BYTES (\(engine.maxInFlightBytes)) is below ROOST_MAX_MESSAGE_BYTES (\(limits.maxMessageBytes))"
            )
        }
        return found
    }

    /// What `roost serve` refuses although each value may be read: production needs secrets that are secret.
    func productionProblems() -> [String] {
        var found: [String] = []
        if redisURL == nil {
            found.append("ROOST_REDIS_URL is missing: redis://[user:password@]host:port[/db] or unix:///path")
        }
        if let token {
            if token == DevelopmentCredentials.token {
                found.append(
                    "QSTASH_TOKEN is the public development token: set one of your own, e.g. `openssl rand -base64 32`")
            } else if token.utf8.count < AccessToken.shortestSecret {
                found.append("QSTASH_TOKEN is weak: it needs at least \(AccessToken.shortestSecret) bytes")
            }
        } else if roles.contains(.api) {
            found.append("QSTASH_TOKEN is missing: the secret that callers send as Authorization: Bearer <token>")
        }
        for token in tokens where token.isDevelopment {
            found.append("ROOST_TOKENS: \(token.name) is the public development token")
        }
        for token in tokens where token.isWeak {
            found.append(
                "ROOST_TOKENS: \(token.name) is weak: a secret needs at least \(AccessToken.shortestSecret) bytes")
        }
        for (name, key) in [
            ("QSTASH_CURRENT_SIGNING_KEY", currentSigningKey), ("QSTASH_NEXT_SIGNING_KEY", nextSigningKey),
        ] {
            guard let key else { continue }
            if key == DevelopmentCredentials.keys.current || key == DevelopmentCredentials.keys.next {
                found.append("\(name) is a public development key: leave it out and Roost makes one")
            } else if key.utf8.count < AccessToken.shortestSecret {
                found.append("\(name) is weak: it needs at least \(AccessToken.shortestSecret) bytes")
            }
        }
        return found
    }
}
