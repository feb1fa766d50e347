/// /v2/schedules (contract schedules.md).

import Domain
import Engine

extension API {
    func create(_ schedule: Schedule, version: APIVersion) async throws(RequestError) -> APIResponse {
        let result = try await stored { try await store.putSchedule(schedule) }
        if result == .topicMissing { throw .topicNotFound(schedule.destination) }
        let answer = PublishAnswer.schedule(id: schedule.id)
        return APIResponse(status: answer.status(version: version), json: answer.json)
    }

    func schedules() async throws(RequestError) -> APIResponse {
        let all = try await stored { try await store.allSchedules() }
        return APIResponse(json: Schedule.json(list: all, now: store.clock.now))
    }

    func schedule(_ request: APIRequest, id: String) async throws(RequestError) -> APIResponse {
        if request.method == "DELETE" {
            try await stored { try await store.removeSchedule(id) }
            return .empty
        }
        guard let schedule = try await stored({ try await store.schedule(id) }) else { throw .scheduleNotFound(id) }
        return APIResponse(json: schedule.json(now: store.clock.now))
    }

    func setSchedule(_ id: String, paused: Bool) async throws(RequestError) -> APIResponse {
        guard try await stored({ try await store.setSchedule(id, paused: paused) }) else { throw .scheduleNotFound(id) }
        return .empty
    }
}
