/// Group commit: publishes that arrive while a call is under way go together with the next one, which waits for the answer
/// unless they are enough. No timer, so an idle server adds nothing to the latency of one, and a busy one pays the call once
/// for many.

import Crypto
import Domain
import Logging
import RedisLink
import Synchronization

final class Publisher: Sendable {
    /// A class: it goes from list to list, and a structure of a dozen references would be copied each time.
    private final class Waiting: Sendable {
        let item: PublishItem
        /// What its body is stored under, once for all its messages; empty where each message has it.
        let bodyName: String
        let size: Int
        let deadline: ContinuousClock.Instant
        /// It is behind another of the same caller, whose order holds.
        let continues: Bool
        let answer: @Sendable (Result<PublishResult, StoreError>) -> Void

        init(
            item: PublishItem, bodyName: String, size: Int, deadline: ContinuousClock.Instant, continues: Bool = false,
            answer: @escaping @Sendable (Result<PublishResult, StoreError>) -> Void
        ) {
            (self.item, self.bodyName, self.size, self.deadline) = (item, bodyName, size, deadline)
            (self.continues, self.answer) = (continues, answer)
        }

        /// One message to a URL, as most are: `publish.lua` takes it with half of the arguments.
        var isPlain: Bool {
            item.topic == nil && bodyName.isEmpty && item.entries.count == 1 && item.entries[0].gate.isEmpty
                && item.entries[0].dedup.isEmpty
        }
    }

    private struct State {
        private(set) var waiting: [Waiting] = []
        private var messages = 0
        private var bytes = 0
        /// Under way, or about to be.
        private var calls = 0

        enum Start { case none, soon, now }

        /// Whether a call is to begin.
        mutating func add(_ new: some Collection<Waiting>) -> Start {
            for waiting in new {
                messages += waiting.item.entries.count
                bytes += waiting.size
            }
            waiting += new
            guard !waiting.isEmpty, calls == 0 || calls < Publisher.mostCalls && isNextFree else { return .none }
            calls += 1
            return isEnough ? .now : .soon
        }

        /// Redis has work, and this process goes on reading: neither waits for the other.
        private var isEnough: Bool { messages >= Publisher.enoughMessages || bytes >= Publisher.mostBytes }

        /// Redis has the next call when it is done with one. What waits behind another of its caller goes when nothing is
        /// under way: a call that has to be sent again comes behind the second.
        private var isNextFree: Bool { isEnough && waiting.first?.continues == false }

        /// What the next call stores; nil where the call that has ended is followed by none.
        mutating func next() -> [Waiting]? {
            guard !waiting.isEmpty, calls == 1 || isNextFree else {
                calls -= 1
                return nil
            }
            var count = 0, taken = (messages: 0, bytes: 0)
            for waiting in waiting {
                let (messages, bytes) = (taken.messages + waiting.item.entries.count, taken.bytes + waiting.size)
                if count > 0, messages > Publisher.mostMessages || bytes > Publisher.mostBytes { break }
                (count, taken) = (count + 1, (messages, bytes))
            }
            let batch = Array(waiting.prefix(count))
            waiting.removeFirst(count)
            (messages, bytes) = (messages - taken.messages, bytes - taken.bytes)
            return batch
        }
    }

    static let mostCalls = 2
    /// So many go without more. Few callers that wait for their answers would else all stand in one call, with nothing for this
    /// process to do until Redis is done with it, and then nothing for Redis: a fifth fewer messages a second for 64 of them.
    static let enoughMessages = 24
    static let mostMessages = 100
    static let mostBytes = 1 << 20

    private let scripts: ScriptCaller
    private let settings: StoreSettings
    private let state = Mutex(State())

    init(scripts: ScriptCaller, settings: StoreSettings) {
        (self.scripts, self.settings) = (scripts, settings)
    }

    /// Stores the items in their order. Throws the first failure where there is one.
    func publish(_ items: [PublishItem]) async throws(StoreError) -> [PublishResult] {
        let deadline = ContinuousClock.now + settings.storeTimeout
        let answers = Answers(count: items.count)
        // Here and not where all wait for one call: a large body takes its time.
        let names = items.map { Self.bodyName(of: $0, settings) }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[PublishResult], StoreError>, Never>) in
            let waiting = items.enumerated().map { index, item in
                Waiting(
                    item: item, bodyName: names[index], size: item.size, deadline: deadline, continues: index > 0
                ) { answer in
                    if let all = answers.set(answer, at: index) { continuation.resume(returning: all) }
                }
            }
            if waiting.isEmpty { return continuation.resume(returning: .success([])) }
            enqueue(waiting)
        }
        return try result.get()
    }

    /// Stores one item; `answer` is called once.
    func add(_ item: PublishItem, _ answer: @escaping @Sendable (Result<PublishResult, StoreError>) -> Void) {
        enqueue(
            CollectionOfOne(
                Waiting(
                    item: item, bodyName: Self.bodyName(of: item, settings), size: item.size,
                    deadline: ContinuousClock.now + settings.storeTimeout, answer: answer)))
    }

    private func enqueue(_ new: some Collection<Waiting>) {
        switch state.withLock({ $0.add(new) }) {
        case .none: break
        case .now: scripts.redis.performHere { self.storeNext() }
        // What else this thread has just read goes with it.
        case .soon: scripts.redis.perform { self.storeNext() }
        }
    }

    /// Collects the answers of one caller's items; the last one that comes brings all of them.
    private final class Answers: Sendable {
        private let state: Mutex<(answers: [Result<PublishResult, StoreError>?], left: Int)>

        init(count: Int) { state = Mutex((Array(repeating: nil, count: count), count)) }

        func set(_ answer: Result<PublishResult, StoreError>, at index: Int) -> Result<[PublishResult], StoreError>? {
            state.withLock { state in
                state.answers[index] = answer
                state.left -= 1
                guard state.left == 0 else { return nil }
                return Result { () throws(StoreError) in
                    var all: [PublishResult] = []
                    for case let answer? in state.answers { all.append(try answer.get()) }
                    return all
                }
            }
        }
    }

    /// Stores batch after batch, each when the one before is answered, until nothing waits. Answers whether one is under way.
    @discardableResult
    private func storeNext() -> Bool {
        while let batch = state.withLock({ $0.next() }) {
            let now = ContinuousClock.now
            let late = batch.filter { $0.deadline <= now }
            late.forEach { $0.answer(.failure(.unavailable)) }
            let rest = late.isEmpty ? batch : batch.filter { $0.deadline > now }
            guard let deadline = rest.map(\.deadline).min() else { continue }
            store(rest, deadline)
            return true
        }
        return false
    }

    private func store(_ batch: [Waiting], _ deadline: ContinuousClock.Instant) {
        let now = scripts.clock.now
        let isDue = batch.contains { $0.item.entries.contains { $0.due <= now } }
        let carried = isDue ? scripts.nextClaim.carry() : nil
        scripts.untilAnswered(
            Scripts.publish, arguments(batch), carrying: carried, deadline: deadline,
            lost: { carried?.answered(nil) }
        ) { result in
            switch result {
            case .success(let reply):
                // Redis has the next batch before all who wait for this one are told.
                let isNextSent = self.storeNext()
                if let carried {
                    var sent = SentMessages(batch: batch)
                    carried.answered(reply.count > batch.count + 1 ? reply[batch.count + 1] : nil) {
                        sent.message($0, at: $1)
                    }
                }
                if isNextSent {
                    self.scripts.redis.perform { self.answer(batch, reply) }
                } else {
                    self.answer(batch, reply)
                }
            case .failure(.broken(let text)) where batch.count > 1:
                self.scripts.logger.error("publish of \(batch.count) failed, trying each alone: \(text)")
                Task {
                    for waiting in batch { await self.storeAlone(waiting) }
                    self.storeNext()
                }
            case .failure(let error):
                batch.forEach { $0.answer(.failure(error)) }
                self.storeNext()
            }
        }
    }

    /// What a claim brought of the batch that carried it, which the rest is known of; mostly in the order of the batch.
    private struct SentMessages {
        let batch: [Waiting]
        private var next = 0

        init(batch: [Waiting]) { self.batch = batch }

        mutating func message(_ id: String, at place: String) -> ClaimedMessage? {
            for _ in batch {
                let item = batch[next].item
                next = (next + 1) % batch.count
                guard let entry = item.entries.first, entry.id == id else { continue }
                return ClaimedMessage(
                    id: id, place: place, retried: 0, reclaimed: 0, request: entry.request, body: item.body,
                    due: entry.due.milliseconds, record: entry.record)
            }
            return nil
        }
    }

    private func storeAlone(_ waiting: Waiting) async {
        do throws(StoreError) {
            let arguments = arguments([waiting])
            answer([waiting], try await scripts.untilAnswered(Scripts.publish, arguments, deadline: waiting.deadline))
        } catch {
            waiting.answer(.failure(error))
        }
    }

    private func answer(_ batch: [Waiting], _ reply: [RedisValue]) {
        for (index, waiting) in batch.enumerated() {
            switch reply.count > index + 1 ? reply[index + 1].string : nil {
            case "stored": waiting.answer(.success(.stored))
            case "topic": waiting.answer(.success(.topicChanged))
            case "queues": waiting.answer(.success(.tooManyQueues))
            default:
                if reply.count > index + 1, let originals = reply[index + 1].array {
                    waiting.answer(.success(.duplicates(originals.map { $0.string ?? "" })))
                    continue
                }
                waiting.answer(.failure(.broken("publish answered \(reply.count) values for \(batch.count)")))
            }
        }
    }

    private func arguments(_ batch: [Waiting]) -> [RedisPart] {
        var parts: [RedisPart] = [
            .integer(settings.endedFor.milliseconds), .integer(settings.deduplicationWindow.milliseconds),
            .integer(settings.maxQueues), .integer(Int64(batch.count)),
        ]
        for waiting in batch {
            let item = waiting.item
            let logged = RedisPart.integer(Int64(item.hidesBody ? 0 : settings.logBodyBytes))
            if waiting.isPlain {
                let entry = item.entries[0]
                parts.append(.text("/"))
                parts.append(logged)
                parts.append(.bytes(item.body))
                parts.append(.text(entry.id))
                parts.append(.text(entry.lane))
                parts.append(.integer(entry.due.milliseconds))
                parts.append(.bytes(entry.request))
                continue
            }
            parts.append(.text(item.topic?.name ?? ""))
            parts.append(.text(item.topic?.revision ?? ""))
            parts.append(.bytes(item.body))
            parts.append(.text(waiting.bodyName))
            parts.append(logged)
            parts.append(.integer(Int64(item.entries.count)))
            for entry in item.entries {
                parts.append(.text(entry.id))
                parts.append(.text(entry.lane))
                parts.append(.integer(entry.due.milliseconds))
                parts.append(.bytes(entry.request))
                parts.append(.text(entry.gate))
                parts.append(.text(entry.dedup))
            }
        }
        return parts
    }

    private static func bodyName(of item: PublishItem, _ settings: StoreSettings) -> String {
        let most = item.entries.count > 1 ? settings.sharedBodyBytes : settings.largeBodyBytes
        return item.body.count > most ? digest(item.body) : ""
    }

    /// SHA-256 in hex: the name a shared body is stored under.
    static func digest(_ body: [UInt8]) -> String { ASCII.hex(SHA256.hash(data: body)) }
}

extension PublishItem {
    /// Bytes that go to Redis, near enough for a limit.
    fileprivate var size: Int { entries.reduce(body.count) { $0 + $1.request.count } }
}
