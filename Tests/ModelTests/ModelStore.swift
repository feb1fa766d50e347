/// The real scripts over a real Redis, emptied for each sequence.

import CHiredis
import Engine
import Foundation
import TestSupport

@testable import RedisLink

/// Calls hiredis and waits: behind an event loop, a sequence of a hundred small calls takes twice the time.
final class ModelStore {
    private let server: RedisServerProcess
    private let link: UnsafeMutablePointer<redisContext>
    private let observation: Script
    private let changed: [String: Script]
    /// How often what happened, to see that sequences meet what they should.
    private(set) var tally: [String: Int] = [:]

    /// - Parameter changed: scripts that stand for those of the same name.
    init(changed: [Script] = []) throws {
        var options = RedisServerProcess.Options()
        options.appendOnly = false
        server = try RedisServerProcess(options)
        guard let link = redisConnectUnix(server.socketPath) else { throw RedisError.notSent("no memory") }
        self.link = link
        let audit = Contract.top.appendingPathComponent("lua/inspect/audit.lua")
        observation = Script(
            name: "observation", source: Observation.source(audit: try String(contentsOf: audit, encoding: .utf8)))
        self.changed = Dictionary(uniqueKeysWithValues: changed.map { ($0.name, $0) })
    }

    deinit {
        redisFree(link)
        server.close()
    }

    func note(_ what: String, _ count: Int = 1) {
        if count > 0 { tally[what, default: 0] += count }
    }

    func empty() throws { _ = try send([.text("FLUSHALL")]) }

    func run(_ script: Script, _ arguments: [String]) throws -> [RedisValue] {
        let script = changed[script.name] ?? script
        let words = ["EVALSHA", script.digest, "1", "roost:{0}"] + arguments
        var reply: RedisValue
        do {
            reply = try send(words.map(RedisPart.text))
        } catch {
            guard error.isNoScript else { throw error }
            _ = try send([.text("SCRIPT"), .text("LOAD"), .text(script.source)])
            reply = try send(words.map(RedisPart.text))
        }
        return reply.array ?? [reply]
    }

    func observe(_ what: String = "") throws -> Set<String> { Set(try run(observation, [what]).compactMap(\.string)) }

    func field(_ key: String, _ field: String) throws -> String {
        try send([.text("HGET"), .text("roost:{0}:\(key)"), .text(field)]).string ?? ""
    }

    func limitLog(_ bytes: Int) throws {
        _ = try send([.text("HSET"), .text("roost:{0}:log"), .text("limit"), .integer(Int64(bytes))])
    }

    private func send(_ words: [RedisPart]) throws(RedisError) -> RedisValue {
        let command = RedisCommand(parts: words).encoded
        let isAppended = command.withUnsafeBytes { bytes in
            redisAppendFormattedCommand(link, bytes.bindMemory(to: CChar.self).baseAddress, bytes.count) == REDIS_OK
        }
        var found: UnsafeMutableRawPointer?
        guard isAppended, redisGetReply(link, &found) == REDIS_OK, let found else {
            throw .outcomeUnknown("Redis has gone")
        }
        defer { freeReplyObject(found) }
        let value = RedisValue(found.assumingMemoryBound(to: redisReply.self).pointee)
        if case .error(let text) = value { throw .server(text) }
        return value
    }
}

extension RedisValue {
    /// What a blocking connection answers.
    fileprivate init(_ reply: redisReply) {
        let bytes = Array(UnsafeRawBufferPointer(start: reply.str, count: reply.str == nil ? 0 : Int(reply.len)))
        switch reply.type {
        case REDIS_REPLY_INTEGER: self = .integer(reply.integer)
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: self = .bulk(bytes)
        case REDIS_REPLY_ERROR: self = .error(String(decoding: bytes, as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            self = .array((0..<Int(reply.elements)).compactMap { reply.element[$0].map { RedisValue($0.pointee) } })
        default: self = .null
        }
    }

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
