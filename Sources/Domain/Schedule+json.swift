// A schedule as the API shows it (contract schedules.md §2) and as Redis keeps it.

extension Schedule {
    /// - Parameter now: a paused schedule shows the run that would come next.
    package func json(now: Timestamp) -> [UInt8] {
        var json = JSONText(capacity: 512 + body.count)
        write(to: &json, now: now)
        return json.bytes
    }

    /// By creation, equal times by id.
    package static func json(list: [Schedule], now: Timestamp) -> [UInt8] {
        let sorted = list.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
        var json = JSONText(capacity: 512 * list.count)
        json.array { json in
            for schedule in sorted { schedule.write(to: &json, now: now) }
        }
        return json.bytes
    }

    private func write(to json: inout JSONText, now: Timestamp) {
        json.object { json in
            json.field("scheduleId", id)
            json.field("cron", cron)
            json.field("createdAt", createdAt)
            json.field("destination", destination)
            json.field("method", template.method.rawValue)
            json.field("header", template.shown(template.header))
            if let mark = template.bodyMark(body) { json.field("body", mark) } else { json.body("body", body) }
            json.field("retries", template.retries)
            json.field("retryDelayExpression", ifAny: template.retryDelay)
            if let delay { json.field("delay", delay) }
            json.field("timeout", ifAny: template.timeout)
            MessageView.writeCallbacks(template, to: &json)
            json.field("queueName", ifAny: template.queue)
            json.field("callerIP", template.callerIP)
            json.field("callerIp", template.callerIP)
            json.field("isPaused", isPaused)
            MessageView.writeFlowAndLabels(template, to: &json)
            if let last { json.field("lastScheduleTime", last) }
            json.field("nextScheduleTime", isPaused ? planned(after: now) : next)
            if !states.isEmpty {
                json.key("lastScheduleStates")
                json.object { json in
                    for (id, state) in states { json.field(id, state.rawValue) }
                }
            }
            json.field("error", ifAny: error)
        }
    }

    private func planned(after now: Timestamp) -> Timestamp {
        (try? CronExpression(cron, now: now))?.next(after: now) ?? next
    }

    /// - `fields`: of the hash, as text names and bytes.
    /// - `states`: message ids and how they stand.
    package static func decode(
        id: String, fields: [String: [UInt8]], states: [(id: String, state: String)] = []
    ) throws(JSONError) -> Schedule {
        func text(_ name: String) -> String? { fields[name].map { String(decoding: $0, as: UTF8.self) } }
        func required(_ name: String) throws(JSONError) -> String {
            guard let value = text(name) else { throw JSONError(text: "schedule has no \(name)", offset: nil) }
            return value
        }
        func time(_ name: String) -> Timestamp? { text(name).flatMap { Int64($0) }.map { Timestamp(milliseconds: $0) } }
        let template = try MessageRecord.decode(Array(try required("request").utf8))
        return Schedule(
            id: id, cron: try required("cron"), template: template, body: fields["body"] ?? [],
            delay: text("delay").flatMap { Int64($0) }, createdAt: time("createdAt") ?? template.createdAt,
            isPaused: fields["paused"] != nil, next: time("next") ?? template.createdAt, last: time("last"),
            states: states.compactMap { id, state in State(rawValue: state).map { (id, $0) } }, error: text("error"),
            revision: try required("revision"))
    }

    /// What is left of a schedule whose record can't be read; it does not run.
    package static func unreadable(id: String, fields: [String: [UInt8]], because reason: String) -> Schedule {
        func text(_ name: String) -> String? { fields[name].map { String(decoding: $0, as: UTF8.self) } }
        func time(_ name: String) -> Timestamp {
            Timestamp(milliseconds: text(name).flatMap { Int64($0) } ?? 0)
        }
        let template = MessageRecord(
            url: "", topic: text("topic"), retries: 0, callerIP: "", createdAt: time("createdAt"),
            notBefore: time("createdAt"))
        return Schedule(
            id: id, cron: text("cron") ?? "", template: template, body: [], delay: nil, createdAt: time("createdAt"),
            isPaused: fields["paused"] != nil, next: time("next"),
            error: text("error") ?? "the stored schedule can't be read: \(reason)", revision: text("revision") ?? "")
    }
}
