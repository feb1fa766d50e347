/// Schedules: one hash each, planned in `schedules` by their next run.

import Domain
import Logging
import RedisLink

extension Store {
    package enum PutResult: Sendable, Equatable {
        case stored, topicMissing
        /// It repeats the creation of this one, which stands for it.
        case duplicate(of: String)
        /// There are as many as may be.
        case tooMany
        /// Its queue would be a new one, and there are as many as may be.
        case tooManyQueues
    }

    /// Creates the schedule or replaces all of one under its id.
    ///
    /// - `dedup`: what its deduplication id is kept under; nil without one.
    package func putSchedule(_ schedule: Schedule, dedup: String? = nil) async throws(StoreError) -> PutResult {
        let reply = try await scripts.untilAnswered(
            Scripts.schedulePut,
            [
                .text(callIdentifier()), .text(schedule.id), .text(schedule.cron), .integer(schedule.next.milliseconds),
                .text(schedule.template.topic ?? ""), .text(schedule.delay.map { String($0) } ?? ""),
                .bytes(schedule.template.encode()), .bytes(schedule.body),
                .text(dedup ?? ""), .integer(settings.deduplicationWindow.milliseconds),
                .integer(settings.maxSchedules), .text(schedule.template.queue ?? ""), .integer(settings.maxQueues),
            ], deadline: .now + settings.storeTimeout)
        switch reply.first?.string {
        case "topic": return .topicMissing
        case "duplicate": return .duplicate(of: reply.count > 1 ? reply[1].string ?? "" : "")
        case "full": return .tooMany
        case "queues": return .tooManyQueues
        default: return .stored
        }
    }

    /// One whose record is damaged says so in its `error`, with what can still be read of it.
    package func schedule(_ id: String) async throws(StoreError) -> Schedule? {
        let fields: [String: [UInt8]]
        do {
            fields = Self.fields(try await read(RedisCommand("HGETALL", key("schedule", id))))
        } catch {
            guard case .broken(let text) = error else { throw error }
            return Schedule.unreadable(id: id, fields: [:], because: text)
        }
        guard !fields.isEmpty else { return nil }
        let states = try await read(RedisCommand("HGETALL", key("states", id)))
        do {
            return try Schedule.decode(id: id, fields: fields, states: Self.pairs(states))
        } catch {
            return Schedule.unreadable(id: id, fields: fields, because: "\(error)")
        }
    }

    /// All schedules, the damaged ones among them.
    package func allSchedules() async throws(StoreError) -> [Schedule] {
        var found: [Schedule] = []
        var from = 0
        while true {
            let page = try await read(RedisCommand("ZRANGE", key("schedules"), "\(from)", "\(from + 499)")).array ?? []
            let ids = page.compactMap(\.string)
            for id in ids {
                if let schedule = try await schedule(id) { found.append(schedule) }
            }
            if ids.count < 500 { break }
            from += 500
        }
        // A schedule that ran while the pages were read may have been seen twice.
        var seen: Set<String> = []
        return found.filter { seen.insert($0.id).inserted }
    }

    /// False where there is no such schedule. Pausing a paused one and resuming a running one change nothing.
    package func setSchedule(_ id: String, paused: Bool) async throws(StoreError) -> Bool {
        while true {
            var arguments: [RedisPart] = [.text(id), .text(paused ? "pause" : "resume")]
            if !paused {
                guard let schedule = try await schedule(id) else { return false }
                let now = clock.now
                let next = (try? CronExpression(schedule.cron, now: now))?.next(after: now) ?? schedule.next
                arguments += [.text(schedule.revision), .integer(next.milliseconds)]
            } else {
                arguments += [.text(""), .text("")]
            }
            arguments.append(.text(callIdentifier()))
            let reply = try await scripts.untilAnswered(
                Scripts.scheduleSet, arguments, deadline: .now + settings.storeTimeout)
            switch reply.first?.string {
            case "ok": return true
            case "missing": return false
            default: continue
            }
        }
    }

    /// It never runs again, also where a run is being prepared; messages it has made stay.
    package func removeSchedule(_ id: String) async throws(StoreError) {
        _ = try await scripts.untilAnswered(
            Scripts.scheduleSet, [.text(id), .text("remove"), .text(""), .text(""), .text(callIdentifier())],
            deadline: .now + settings.storeTimeout)
    }

    static func pairs(_ reply: RedisValue) -> [(id: String, state: String)] {
        let values = reply.array ?? []
        return stride(from: 0, to: values.count - 1, by: 2).compactMap { index in
            guard let name = values[index].string, let value = values[index + 1].string else { return nil }
            return (name, value)
        }
    }

    static func fields(_ reply: RedisValue) -> [String: [UInt8]] {
        let values = reply.array ?? []
        var fields: [String: [UInt8]] = [:]
        for index in stride(from: 0, to: values.count - 1, by: 2) {
            if let field = values[index].string { fields[field] = values[index + 1].bytes }
        }
        return fields
    }
}
