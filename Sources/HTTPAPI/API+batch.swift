/// POST /v2/batch (contract publish.md §8): all items are checked before the first is stored; then they are stored in
/// their order, each with its whole fan-out or not at all.

import Domain
import Engine

extension API {
    /// A chunk goes to the store in one call.
    private static let mostMessages = 100
    private static let mostBytes = 1 << 20

    private enum Item {
        /// Of a large batch without its body, which is made again from the item when its chunk is stored.
        case publish(CheckedPublish, BatchItem?, bytes: Int)
        case schedule(Schedule, dedup: String?)
        case failed(RequestError)
    }

    func batch(
        _ request: APIRequest, access: Authenticator.Access, version: APIVersion
    ) async throws(RequestError) -> APIResponse {
        let caller = callerIP(request)
        var items: [Item] = []
        for (index, item) in try BatchItem.list(body: request.body, limits: settings.limits).enumerated() {
            let source = PublishSource(
                destination: item.destination, headers: item.headers.fields, body: item.body(in: request.body),
                queue: item.queue, version: version, callerIP: caller, isAuthenticatedByQuery: access.isByQuery)
            let origin = request.body.count > Self.mostBytes ? item : nil
            items.append(try await read(source, origin, at: index, access: access))
        }
        try await countDaily(
            items.reduce(0) { total, item in
                if case .publish(let publish, _, _) = item { total + publish.messages.count } else { total }
            })
        var answers: [PublishAnswer] = []
        var chunk: [CheckedPublish] = []
        var messages = 0, bytes = 0
        for item in items {
            switch item {
            case .publish(let publish, let origin, let size):
                if bytes + size > Self.mostBytes {
                    answers += try await storeChunk(&chunk, after: answers.count)
                    (messages, bytes) = (0, 0)
                }
                chunk.append(origin.map { publish.carrying($0.body(in: request.body)) } ?? publish)
                messages += publish.messages.count
                bytes += size
                // A topic may have changed: then its item is read and stored again, and nothing may have overtaken it.
                if publish.topic == nil, messages < Self.mostMessages, bytes < Self.mostBytes { continue }
                answers += try await storeChunk(&chunk, after: answers.count)
                (messages, bytes) = (0, 0)
            case .schedule(let schedule, let dedup):
                answers += try await storeChunk(&chunk, after: answers.count)
                answers.append(try await createInBatch(schedule, dedup: dedup))
            case .failed(let error):
                answers += try await storeChunk(&chunk, after: answers.count)
                answers.append(.failed(error))
            }
        }
        answers += try await storeChunk(&chunk, after: answers.count)
        await uncountDaily(answers.reduce(0) { $0 + $1.duplicates })
        return APIResponse(json: PublishAnswer.json(batch: answers))
    }

    /// One malformed item fails the whole batch; one that is well formed and can't be published fails alone.
    private func read(
        _ source: PublishSource, _ origin: BatchItem?, at index: Int, access: Authenticator.Access
    ) async throws(RequestError) -> Item {
        do throws(RequestError) {
            let publish = try await check(source)
            guard let schedule = publish.request.newSchedule() else {
                return .publish(
                    origin == nil ? publish : publish.carrying([]), origin, bytes: publish.request.body.count)
            }
            try access.require(.manage)
            return .schedule(schedule, dedup: publish.request.scheduleDedup)
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
                answers.append(try await answer(ofItem: item, result))
            }
            return answers
        } catch {
            throw stored > 0 && error == .storageUnavailable ? .storageOutcomeUnknown : error
        }
    }

    private func answer(
        ofItem item: CheckedPublish, _ result: PublishResult
    ) async throws(RequestError) -> PublishAnswer {
        do throws(RequestError) {
            if let answer = try item.promised.told(result, limits: settings.limits) { return answer }
            return try await store(try await check(item.source))
        } catch {
            if error.concernsOneItem { return .failed(error) }
            throw error
        }
    }

    private func createInBatch(_ schedule: Schedule, dedup: String?) async throws(RequestError) -> PublishAnswer {
        do throws(RequestError) {
            return try await create(schedule, dedup: dedup)
        } catch {
            if error.concernsOneItem { return .failed(error) }
            throw error
        }
    }
}
