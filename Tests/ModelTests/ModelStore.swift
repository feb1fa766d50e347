/// The real scripts over a real Redis, emptied for each sequence.

import Engine
import Foundation
import RedisLink
import TestSupport

final class ModelStore: Sendable {
    private let redis: TestRedis
    private let observation: Script
    private let changed: [String: Script]

    /// - Parameter changed: scripts that stand for those of the same name.
    init(changed: [Script] = []) throws {
        redis = try TestRedis()
        let audit = Contract.top.appendingPathComponent("lua/inspect/audit.lua")
        observation = Script(
            name: "observation", source: Observation.source(audit: try String(contentsOf: audit, encoding: .utf8)))
        self.changed = Dictionary(uniqueKeysWithValues: changed.map { ($0.name, $0) })
    }

    func empty() async throws { try await redis.send("FLUSHALL") }
    func close() async { await redis.close() }

    func run(_ script: Script, _ arguments: [String]) async throws -> [RedisValue] {
        let reply = try await redis.client.run(
            changed[script.name] ?? script, keys: ["roost:{0}"], arguments: arguments.map(RedisPart.text))
        return reply.array ?? [reply]
    }

    func observe(_ what: String = "") async throws -> Set<String> {
        let reply = try await redis.client.run(observation, keys: ["roost:{0}"], arguments: [.text(what)])
        return Set(reply.array?.compactMap(\.string) ?? [])
    }

    func field(_ key: String, _ field: String) async throws -> String {
        try await redis.send("HGET", "roost:{0}:\(key)", field).string ?? ""
    }
}

extension RedisValue {
    /// As the model says it: words, with what is nested in brackets.
    var word: String {
        switch self {
        case .null: ""
        case .integer(let number): "\(number)"
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .array(let values): "[" + values.map(\.word).joined(separator: " ") + "]"
        case .error(let text): "error: \(text)"
        }
    }
}
