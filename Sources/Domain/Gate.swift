// A queue or a flow key as the API shows it (contract queues.md, flow-control.md §3).

package struct QueueView: Sendable, Hashable {
    package var name: String
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var parallelism: Int64
    package var isPaused: Bool
    /// Messages that have not ended.
    package var lag: Int64

    package init(
        name: String, createdAt: Timestamp, updatedAt: Timestamp, parallelism: Int64, isPaused: Bool, lag: Int64
    ) {
        (self.name, self.createdAt, self.updatedAt) = (name, createdAt, updatedAt)
        (self.parallelism, self.isPaused, self.lag) = (parallelism, isPaused, lag)
    }

    package func write(to json: inout JSONText) {
        json.object { json in
            json.field("name", name)
            json.field("createdAt", createdAt)
            json.field("updatedAt", updatedAt)
            json.field("parallelism", parallelism)
            json.field("paused", isPaused)
            json.field("lag", max(0, lag))
        }
    }
}

package struct FlowControlView: Sendable, Hashable {
    package var key: String
    package var waiting: Int64
    /// 0 = no limit.
    package var parallelism: Int64
    package var inFlight: Int64
    /// 0 = no limit.
    package var rate: Int64
    package var starts: Int64
    /// Seconds.
    package var period: Int64
    /// Nil = never.
    package var periodStart: Timestamp?
    package var isPaused: Bool
    package var isPinnedParallelism: Bool
    package var isPinnedRate: Bool

    package init(
        key: String, waiting: Int64, parallelism: Int64, inFlight: Int64, rate: Int64, starts: Int64, period: Int64,
        periodStart: Timestamp?, isPaused: Bool, isPinnedParallelism: Bool, isPinnedRate: Bool
    ) {
        (self.key, self.waiting, self.parallelism, self.inFlight) = (key, waiting, parallelism, inFlight)
        (self.rate, self.starts, self.period, self.periodStart) = (rate, starts, period, periodStart)
        (self.isPaused, self.isPinnedParallelism, self.isPinnedRate) = (isPaused, isPinnedParallelism, isPinnedRate)
    }

    package func write(to json: inout JSONText) {
        json.object { json in
            json.field("flowControlKey", key)
            json.field("waitListSize", waiting)
            json.field("parallelismMax", parallelism)
            json.field("parallelismCount", inFlight)
            json.field("rateMax", rate)
            json.field("rateCount", starts)
            json.field("ratePeriod", period)
            json.field("ratePeriodStart", periodStart?.seconds ?? 0)
            json.field("isPaused", isPaused)
            json.field("isPinnedParallelism", isPinnedParallelism)
            json.field("isPinnedRate", isPinnedRate)
        }
    }
}

/// The body of POST /v2/queues.
package struct QueueSettings: Sendable, Hashable {
    package var name: String
    /// Nil leaves it as it is, 1 on creation.
    package var parallelism: Int64?
    package var isPaused: Bool?

    package static func read(_ body: [UInt8], limits: Limits = Limits()) throws(RequestError) -> QueueSettings {
        let value: JSONValue
        do { value = try JSONValue.read(body) } catch { throw .badRequest("invalid JSON body: \(error.description)") }
        guard let object = value.object else { throw .badRequest("invalid JSON body: not an object") }
        if let value = object["queueName"], value != .null, value.string == nil {
            throw .badRequest("queueName must be a text, not \(value.kind)")
        }
        guard let name = object["queueName"]?.string, !name.isEmpty else {
            throw .badRequest("queueName is required")
        }
        try NameGrammar.check(name, kind: "queue")
        var settings = QueueSettings(name: name)
        if let value = object["parallelism"], value != .null {
            guard let number = value.int, number >= 1 else {
                throw .badRequest("parallelism must be a whole number from 1")
            }
            if let most = limits.maxQueueParallelism, number > most { throw .quota("maxQueueParallelism", limit: most) }
            settings.parallelism = min(Int64(number), FlowControl.mostStarts)
        }
        if let value = object["paused"], value != .null {
            guard case .bool(let isPaused) = value else { throw .badRequest("paused must be a boolean") }
            settings.isPaused = isPaused
        }
        return settings
    }
}

/// A change of a gate, as `gate_set.lua` takes it.
package enum GateChange: Sendable, Hashable {
    case put(parallelism: Int64?, isPaused: Bool?)
    case pause, resume
    case pin(parallelism: Int64?, rate: Int64?, period: Int64)
    case unpin(parallelism: Bool, rate: Bool)
    case resetRate, reset

    /// The verb of a flow key's path; nil for one that is unknown.
    ///
    /// - `query`: decoded pairs in their order.
    package static func read(verb: String, query: [HeaderField]) throws(RequestError) -> GateChange? {
        func number(_ name: String) throws(RequestError) -> Int64? {
            guard let text = query.first(where: { $0.name == name })?.value else { return nil }
            guard let value = ASCII.saturatingInteger(text.utf8), value >= 1 else {
                throw .badRequest("invalid \(name): \"\(text.prefix(100))\" is not a whole number from 1")
            }
            return min(value, FlowControl.mostStarts)
        }
        func isAllowed(_ name: String) -> Bool {
            ListQuery.alwaysAllowed.contains(name) || ASCII.equalIgnoringCase(name, "qstash_token")
        }
        func flag(_ name: String) throws(RequestError) -> Bool {
            guard let text = query.first(where: { $0.name == name })?.value else { return false }
            guard let value = Booleans.parse(text) else {
                throw .badRequest("invalid \(name): \"\(text.prefix(100))\" is not a boolean")
            }
            return value
        }
        // A limit that is mistyped would else stay as it was, unnoticed.
        let known = ["pin": ["parallelism", "rate", "period"], "unpin": ["parallelism", "rate"]][verb]
        if let known, let other = query.first(where: { !known.contains($0.name) && !isAllowed($0.name) }) {
            throw .unknownParameter(other.name)
        }
        switch verb {
        case "pause": return .pause
        case "resume": return .resume
        case "resetrate": return .resetRate
        case "reset": return .reset
        case "pin":
            let parallelism = try number("parallelism")
            let rate = try number("rate")
            let period = try number("period")
            guard parallelism != nil || rate != nil else { throw .badRequest("pin needs parallelism or rate") }
            if let period, period > 604_800 { throw .badRequest("invalid period: more than 604800 seconds") }
            if period != nil, rate == nil { throw .badRequest("period belongs to rate: give both") }
            return .pin(parallelism: parallelism, rate: rate, period: period ?? 1)
        case "unpin": return .unpin(parallelism: try flag("parallelism"), rate: try flag("rate"))
        default: return nil
        }
    }
}
