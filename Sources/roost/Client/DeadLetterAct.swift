/// Retrying or deleting dead letters, a page after the other: with a question before, a bar meanwhile, and the count of
/// what was done at the end, however it ends.

import Domain
import Synchronization

struct DeadLetterAct: Sendable {
    let server: ServerConnection
    let selection: Selection
    let headers: [HeaderField]
    let isRetry: Bool
    let yes: Bool
    let json: Bool

    /// Counting goes so far; beyond it the question says "more than".
    private static let countLimit = 10_000
    private static let pageSize = 100

    func run() async throws {
        let done = Counter()
        switch selection {
        case .ids(let ids):
            let count = try await Selection.each(ids) { id throws(CommandFailure) in try await one(id) }
            if !isRetry, !json { try Terminal.output.say("deleted \(count) dead letters") }
        case .query(let query):
            let total = try await confirm(query)
            if total == 0 { return try tell(0) }
            let bar = ProgressBar(
                isRetry ? "retrying" : "deleting", total: total.flatMap { $0 > Self.countLimit ? nil : $0 })
            let result: Result<Bool, any Error>
            do {
                result = .success(try await Interruption.guarding { try await all(query, bar, done) })
            } catch {
                result = .failure(error)
            }
            bar.clear()
            try tell(done.value)
            if try result.get() {
                throw CommandFailure(text: "interrupted", status: ClientStatus.interrupted)
            }
        }
    }

    private func one(_ id: String) async throws(CommandFailure) {
        let path = "/v2/dlq/" + (isRetry ? "retry/" : "") + Percent.encodeComponent(id)
        let answer = try await server.call(isRetry ? "POST" : "DELETE", path, headers: headers)
        if json { return try Terminal.output.json(answer.body) }
        if isRetry { try Terminal.output.say(try answer.json(server.base).shown("messageId")) }
    }

    /// - Returns: how many match, where they were counted.
    private func confirm(_ query: [HeaderField]) async throws -> Int? {
        if yes, !Terminal.error.isTerminal { return nil }
        var count = 0
        let pages = Pages(
            server: server, path: "/v2/dlq", field: "messages", query: query + [("trimBody", "0")],
            pageSize: Self.pageSize)
        try await pages.read(limit: Self.countLimit + 1) { count += $0.count }
        if count == 0 { return 0 }
        let text = count > Self.countLimit ? "more than \(Self.countLimit)" : "\(count)"
        try Confirmation.ask("\(isRetry ? "Retry" : "Delete") \(text) dead letters of \(server.base)?", yes: yes)
        return count
    }

    /// New dead letters are newer than the cursor, so a retry that fails again is not met again.
    private func all(_ query: [HeaderField], _ bar: ProgressBar, _ done: Counter) async throws {
        var cursor: String?
        while !Task.isCancelled {
            let fields = query + [("count", String(Self.pageSize))] + (cursor.map { [("cursor", $0)] } ?? [])
            let answer = try await Interruption.whole {
                try await server.call(
                    isRetry ? "POST" : "DELETE", isRetry ? "/v2/dlq/retry" : "/v2/dlq", query: fields,
                    headers: headers)
            }
            let page = try answer.json(server.base)
            let count = isRetry ? (page["responses"]?.array ?? []).count : page.count("deleted")
            done.add(count)
            if json { try Terminal.output.json(answer.body) }
            bar.advance(by: count)
            guard let next = page["cursor"]?.string?.nonEmpty, next != cursor else { return }
            cursor = next
        }
    }

    private func tell(_ count: Int) throws {
        if !json { try Terminal.output.say("\(isRetry ? "retried" : "deleted") \(count) dead letters") }
    }
}

/// What was done so far, by whoever does it.
final class Counter: Sendable {
    private let count = Atomic(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add(_ more: Int) { count.add(more, ordering: .relaxed) }
}
