/// Which handler a raw request target belongs to. Fixed segments match in any case, names and ids do not; one slash
/// at the end of a fixed path is ignored, never one inside a destination (contract conventions.md §1).

import Domain

package enum Route: Equatable {
    /// Everything behind `/v2/publish/`, query included.
    case publish(remainder: String)
    case message(id: String)
    /// `hasSlash`: one stood behind it, which is where an empty id joined into a path ends up.
    case messages(hasSlash: Bool)
    case deadLetters(hasSlash: Bool)
    case deadLetter(id: String)
    case retryDead(id: String)
    case retryAllDead(hasSlash: Bool)
    case events
    case logs
    /// Everything behind `/v2/enqueue/<queue>/`, query included.
    case enqueue(queue: String, remainder: String)
    case batch
    case queues
    case queue(name: String)
    case queueSwitch(name: String, paused: Bool)
    case flows
    case flow(key: String)
    /// A verb in lower case.
    case flowVerb(key: String, verb: String)
    case globalParallelism
    /// Everything behind `/v2/schedules/`, query included.
    case newSchedule(remainder: String)
    case schedules
    case schedule(id: String)
    case scheduleSwitch(id: String, paused: Bool)
    case topics
    case topic(name: String)
    case endpoints(topic: String)
    case keys
    case rotateKeys

    /// No limit per second holds for these.
    var isPublishing: Bool {
        switch self {
        case .publish, .enqueue, .batch: true
        default: false
        }
    }

    /// The methods that exist here, for `Allow`.
    package var methods: [String] {
        switch self {
        case .publish, .enqueue, .batch, .newSchedule, .queueSwitch, .flowVerb, .retryDead, .retryAllDead, .rotateKeys:
            ["POST"]
        case .queues: ["GET", "POST"]
        case .queue: ["GET", "DELETE"]
        // A POST there makes one: what stands in the path is its destination.
        case .schedule: ["GET", "POST", "DELETE"]
        case .scheduleSwitch: ["PATCH", "POST"]
        case .message, .deadLetters, .deadLetter: ["GET", "DELETE"]
        case .messages: ["DELETE"]
        case .topics, .schedules, .keys, .flows, .globalParallelism, .events, .logs: ["GET"]
        // Behind a key that ends like a verb, a POST is that verb on the key before it.
        case .flow(let key): Self.verb(of: key) == nil ? ["GET"] : ["GET", "POST"]
        case .topic: ["GET", "PATCH", "DELETE"]
        case .endpoints: ["POST", "DELETE"]
        }
    }

    /// What a token must be allowed for one of these methods.
    func scope(_ method: String) -> Scopes {
        switch self {
        case .publish, .enqueue, .batch: .publish
        case .keys, .rotateKeys: .admin
        case .newSchedule: .manage
        case .message, .schedules, .schedule, .scheduleSwitch, .queues, .queue, .queueSwitch, .flows, .flow, .flowVerb,
            .globalParallelism, .topics, .topic, .endpoints, .messages, .deadLetters, .deadLetter, .retryDead,
            .retryAllDead, .events, .logs:
            method == "GET" ? .read : .manage
        }
    }

    /// Bytes of a request body: a batch carries many messages, a topic many URLs.
    package static func bodyLimit(_ method: String, _ target: String, limits: Limits) -> Int {
        if publishVersion(target) != nil { return limits.maxMessageBytes }
        return switch find(method, target)?.route {
        case .batch: limits.maxBatchBytes
        case .endpoints:
            max(
                limits.maxMessageBytes,
                min(limits.maxBatchBytes, Int(limits.maxEndpoints) * (limits.maxURLBytes + 1024)))
        default: limits.maxMessageBytes
        }
    }

    private static let publishPrefix = Array("/v2/publish/".utf8)

    /// Of a target that begins with `/v1/publish/` or `/v2/publish/` in any case: the one that comes most is told by its bytes,
    /// because walking along a text costs 300 instructions a segment. Nil for any other, which may be a publish all the same.
    private static func publishVersion(_ target: String) -> APIVersion? {
        target.utf8.withContiguousStorageIfAvailable { bytes in
            guard bytes.count >= publishPrefix.count else { return nil }
            for (index, byte) in publishPrefix.enumerated() where index != 2 {
                if ASCII.lower(bytes[index]) != byte { return nil }
            }
            return bytes[2] == UInt8(ascii: "2") ? .v2 : bytes[2] == UInt8(ascii: "1") ? .v1 : nil
        } ?? nil
    }

    /// Nil for a path that is not served. A POST below schedules is a creation but for `{id}/pause` and `{id}/resume`. The version is that of the path: `/v1/x` is served like `/v2/x`.
    package static func find(_ method: String, _ target: String) -> (route: Route, version: APIVersion)? {
        if let version = publishVersion(target) {
            return (.publish(remainder: String(Substring(target.utf8.dropFirst(publishPrefix.count)))), version)
        }
        var rest = target.utf8[...]
        guard rest.popFirst() == UInt8(ascii: "/") else { return nil }
        let version: APIVersion
        switch segment(&rest).lowered {
        case "v1": version = .v1
        case "v2": version = .v2
        default: return nil
        }
        let family = segment(&rest).lowered
        if family == "publish" { return (.publish(remainder: String(Substring(rest))), version) }
        if family == "enqueue" {
            let queue = decoded(segment(&rest))
            return (.enqueue(queue: queue, remainder: String(Substring(rest))), version)
        }
        if family == "flowcontrol" {
            return flow(method, rest.prefix { $0 != UInt8(ascii: "?") }).map { ($0, version) }
        }
        if family == "schedules", method == "POST" {
            let remainder = String(Substring(rest))
            if case .scheduleSwitch(let id, let paused) = fixed(family, rest.prefix { $0 != UInt8(ascii: "?") }),
                !["http:", "https:"].contains(where: { id.lowercased().hasPrefix($0) })
            {
                return (.scheduleSwitch(id: id, paused: paused), version)
            }
            return (.newSchedule(remainder: remainder), version)
        }
        let hasSlash = target.utf8.prefix { $0 != UInt8(ascii: "?") }.last == UInt8(ascii: "/")
        // A destination below schedules, with another method than the one that makes a schedule.
        if family == "schedules",
            ["http:", "https:", "http%3a", "https%3a"].contains(where: { Substring(rest).lowercased().hasPrefix($0) })
        {
            return (.newSchedule(remainder: String(Substring(rest))), version)
        }
        guard let route = fixed(family, rest.prefix { $0 != UInt8(ascii: "?") }, hasSlash: hasSlash) else { return nil }
        return (route, version)
    }

    private static let flowVerbs: Set<String> = ["pause", "resume", "pin", "unpin", "resetrate", "reset"]

    /// The key is everything up to a verb at the end, slashes included: SDKs put it there unescaped.
    private static func flow(_ method: String, _ path: Substring.UTF8View) -> Route? {
        if path.isEmpty { return .flows }
        if method == "POST", let slash = path.lastIndex(of: UInt8(ascii: "/")) {
            let verb = path[path.index(after: slash)...].lowered
            if flowVerbs.contains(verb) { return .flowVerb(key: decoded(path[..<slash]), verb: verb) }
        }
        return .flow(key: decoded(path))
    }

    private static func verb(of key: String) -> String? {
        guard let slash = key.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        let last = key.utf8[key.utf8.index(after: slash)...].lowered
        return flowVerbs.contains(last) ? last : nil
    }

    private static func fixed(_ family: String, _ path: Substring.UTF8View, hasSlash: Bool = false) -> Route? {
        var path = path
        if path.last == UInt8(ascii: "/") {
            path = path.dropLast()
            if path.isEmpty || path.last == UInt8(ascii: "/") { return nil }
        }
        let parts = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let first = parts.first.map(decoded) ?? ""
        switch (family, path.isEmpty ? 0 : parts.count) {
        case ("batch", 0): return .batch
        case ("topics", 0): return .topics
        case ("topics", 1): return .topic(name: first)
        case ("topics", 2) where Substring(parts[1]).lowercased() == "endpoints": return .endpoints(topic: first)
        case ("queues", 0): return .queues
        case ("queues", 1): return .queue(name: first)
        case ("queues", 2) where Substring(parts[1]).lowercased() == "pause":
            return .queueSwitch(name: first, paused: true)
        case ("queues", 2) where Substring(parts[1]).lowercased() == "resume":
            return .queueSwitch(name: first, paused: false)
        case ("globalparallelism", 0): return .globalParallelism
        case ("schedules", 0): return .schedules
        case ("schedules", 1): return .schedule(id: first)
        case ("schedules", 2) where Substring(parts[1]).lowercased() == "pause":
            return .scheduleSwitch(id: first, paused: true)
        case ("schedules", 2) where Substring(parts[1]).lowercased() == "resume":
            return .scheduleSwitch(id: first, paused: false)
        case ("messages", 0): return .messages(hasSlash: hasSlash)
        case ("messages", 1): return .message(id: first)
        case ("dlq", 0): return .deadLetters(hasSlash: hasSlash)
        case ("dlq", 1):
            return first.lowercased() == "retry" ? .retryAllDead(hasSlash: hasSlash) : .deadLetter(id: first)
        case ("dlq", 2) where first.lowercased() == "retry": return .retryDead(id: decoded(parts[1]))
        case ("events", 0): return .events
        case ("logs", 0): return .logs
        case ("keys", 0): return .keys
        case ("keys", 1) where first.lowercased() == "rotate": return .rotateKeys
        default: return nil
        }
    }

    /// The next segment; `rest` is left behind its slash, or at the query.
    private static func segment(_ rest: inout Substring.UTF8View) -> Substring.UTF8View {
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let segment = rest[..<end]
        rest = rest[end...]
        if rest.first == UInt8(ascii: "/") { rest = rest.dropFirst() }
        return segment
    }

    private static func decoded(_ part: Substring.UTF8View) -> String {
        String(decoding: Percent.decode(Array(part)), as: UTF8.self)
    }
}

extension Substring.UTF8View {
    fileprivate var lowered: String { Substring(self).lowercased() }
}
