/// POST /v2/batch (contract publish.md §8): all items are checked before the first is stored; then they are stored in
/// their order, each with its whole fan-out or not at all.

import Domain
import Engine

extension API {
    /// A chunk goes to the store in one call.
    private static let mostMessages = 200
    private static let mostBytes = 1 << 20

    private enum Item {
        case publish(CheckedPublish)
        case schedule(Schedule)
        case failed(RequestError)
    }

    func batch(
        _ request: APIRequest, access: Authenticator.Access, version: APIVersion
    ) async throws(RequestError) -> APIResponse {
        let caller = callerIP(request)
        var items: [Item] = []
        for (index, item) in try BatchItem.list(body: request.body, limits: settings.limits).enumerated() {
            let source = PublishSource(
                destination: item.destination, headers: item.headers.fields, body: item.body, queue: item.queue,
                version: version, callerIP: caller, isAuthenticatedByQuery: access.isByQuery)
            items.append(try await read(source, at: index, access: access))
        }
        var answers: [PublishAnswer] = []
        var chunk: [CheckedPublish] = []
        var messages = 0, bytes = 0
        for item in items {
            switch item {
            case .publish(let publish):
                chunk.append(publish)
                messages += publish.messages.count
                bytes += publish.request.body.count
                // A topic may have changed: then its item is read and stored again, and nothing may have overtaken it.
                if publish.topic == nil, messages < Self.mostMessages, bytes < Self.mostBytes { continue }
                answers += try await storeChunk(&chunk, after: answers.count)
                (messages, bytes) = (0, 0)
            case .schedule(let schedule):
                answers += try await storeChunk(&chunk, after: answers.count)
                answers.append(try await createInBatch(schedule))
            case .failed(let error):
                answers += try await storeChunk(&chunk, after: answers.count)
                answers.append(.failed(error))
            }
        }
        answers += try await storeChunk(&chunk, after: answers.count)
        return APIResponse(json: PublishAnswer.json(batch: answers))
    }

    /// One malformed item fails the whole batch; one that is well formed and can't be published fails alone.
    private func read(
        _ source: PublishSource, at index: Int, access: Authenticator.Access
    ) async throws(RequestError) -> Item {
        do throws(RequestError) {
            let publish = try await check(source)
            guard let schedule = publish.request.newSchedule() else { return .publish(publish) }
            try access.require(.manage)
            return .schedule(schedule)
        } catch {
            if error.concernsOneItem { return .failed(error) }
            throw error.status == 400 ? error.inBatch(item: index) : error
        }
    }

    /// Empties the chunk. Where the store fails behind items that were stored, nobody can say that nothing was.
    private func storeChunk(
        _ chunk: inout [CheckedPublish], after stored: Int
    ) async throws(RequestError) -> [PublishAnswer] {
        let items = chunk
        chunk = []
        guard !items.isEmpty else { return [] }
        do throws(RequestError) {
            let results = try await self.stored { try await store.publish(items.map(\.item)) }
            var answers: [PublishAnswer] = []
            for (item, result) in zip(items, results) {
                switch result {
                case .stored: answers.append(item.answer)
                case .topicChanged: answers.append(try await storeAgain(item))
                }
            }
            return answers
        } catch {
            throw stored > 0 && error == .storageUnavailable ? .storageOutcomeUnknown : error
        }
    }

    private func storeAgain(_ item: CheckedPublish) async throws(RequestError) -> PublishAnswer {
        do throws(RequestError) {
            return try await store(try await check(item.source))
        } catch {
            if error.concernsOneItem { return .failed(error) }
            throw error
        }
    }

    private func createInBatch(_ schedule: Schedule) async throws(RequestError) -> PublishAnswer {
        let result = try await stored { try await store.putSchedule(schedule) }
        return result == .topicMissing ? .failed(.topicNotFound(schedule.destination)) : .schedule(id: schedule.id)
    }
}
