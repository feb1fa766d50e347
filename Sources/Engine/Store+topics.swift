/// Topics (URL groups): one hash each, replaced whole by compare-and-set on its revision.

import Domain
import RedisLink
import Synchronization

extension Store {
    package func topic(_ name: String) async throws(StoreError) -> Topic? {
        let topic = try topicFrom(try await read(RedisCommand("HGETALL", key("topic", name))), name: name)
        topics.withLock { cache in
            if cache.count > 10_000 { cache.removeAll() }
            cache[name] = topic
        }
        return topic
    }

    /// The topic as it was read last. Only for publishing, which checks its revision: a stale one costs a second
    /// round, never a wrong fan-out.
    package func topicForPublish(_ name: String) async throws(StoreError) -> Topic? {
        if let known = topics.withLock({ $0[name] }) { return known }
        return try await topic(name)
    }

    func forgetTopic(_ name: String) { topics.withLock { _ = $0.removeValue(forKey: name) } }

    /// All topics, by name.
    package func allTopics() async throws(StoreError) -> [Topic] {
        var names: Set<String> = []
        var cursor = "0"
        repeat {
            let reply = try await read(RedisCommand("SSCAN", key("topics"), cursor, "COUNT", "500")).array ?? []
            guard reply.count == 2, let next = reply[0].string else { break }
            cursor = next
            for name in reply[1].array ?? [] { if let name = name.string { names.insert(name) } }
        } while cursor != "0"
        var found: [Topic] = []
        for name in names.sorted() {
            if let topic = try topicFrom(try await read(RedisCommand("HGETALL", key("topic", name))), name: name) {
                found.append(topic)
            }
        }
        return found
    }

    /// Reads the topic, lets `decide` say what it becomes (nil: it goes), writes it if it is still what was read, and
    /// begins again if it is not. What `decide` throws goes to the caller and nothing is written.
    package func editTopic(
        _ name: String, _ decide: (Topic?) throws(RequestError) -> Topic?
    ) async throws {
        while true {
            let old = try await topic(name)
            let new = try decide(old)
            if old == nil, new == nil { return }
            let reply = try await scripts.untilAnswered(
                Scripts.topicEdit,
                [
                    .text(callIdentifier()), .text(name), .text(old?.revision ?? ""),
                    .bytes(new?.endpointsText ?? []), .bytes(new?.headersText ?? []),
                    .integer((new?.createdAt ?? clock.now).milliseconds), .integer(settings.maxTopics),
                ], deadline: .now + settings.storeTimeout)
            forgetTopic(name)
            switch reply.first?.string {
            case "ok": return
            case "used": throw RequestError.topicInUse(name, by: reply.count > 1 ? reply[1].string ?? "" : "")
            case "full": throw RequestError.quota("maxUrlGroups", limit: settings.maxTopics)
            default: continue
            }
        }
    }

    private func topicFrom(_ reply: RedisValue, name: String) throws(StoreError) -> Topic? {
        let fields = Self.fields(reply)
        if fields.isEmpty { return nil }
        do {
            return try Topic.decode(name: name, fields: fields)
        } catch {
            throw .broken("topic \(name): \(error)")
        }
    }
}
