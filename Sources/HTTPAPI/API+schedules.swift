/// /v2/schedules (contract schedules.md).

import Domain
import Engine

extension API {
    func create(_ schedule: Schedule, dedup: String?) async throws(RequestError) -> PublishAnswer {
        switch try await stored({ try await store.putSchedule(schedule, dedup: dedup) }) {
        case .stored: return .schedule(id: schedule.id)
        case .duplicate(let original): return .schedule(id: original, isDeduplicated: true)
        case .topicMissing: throw .topicNotFound(schedule.destination)
        case .tooManyQueues: throw .quota("maxQueues", limit: settings.limits.maxQueues ?? 0)
        case .tooMany: throw .quota("maxSchedules", limit: settings.limits.maxSchedules ?? 0)
        }
    }

    func schedules() async throws(RequestError) -> APIResponse {
        let all = try await stored { try await store.allSchedules() }
        return APIResponse(json: Schedule.json(list: all, now: store.clock.now))
    }

    func schedule(_ request: APIRequest, id: String) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(id, kind: "schedule")
        if request.method == "DELETE" {
            try await stored { try await store.removeSchedule(id) }
            return .empty
        }
        guard let schedule = try await stored({ try await store.schedule(id) }) else { throw .scheduleNotFound(id) }
        return APIResponse(json: schedule.json(now: store.clock.now))
    }

    func setSchedule(_ id: String, paused: Bool) async throws(RequestError) -> APIResponse {
        try NameGrammar.check(id, kind: "schedule")
        guard try await stored({ try await store.setSchedule(id, paused: paused) }) else { throw .scheduleNotFound(id) }
        return .empty
    }
}
