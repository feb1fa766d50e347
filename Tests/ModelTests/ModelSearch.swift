/// Runs seed after seed and tells of the sequences that show a difference, made short.

import RedisLink
import Synchronization

struct ModelSearch {
    /// Each has a Redis of its own.
    var workers = 2
    var changed: [Script] = []
    /// Whether what is found is made short.
    var shrinks = true

    private final class Progress: Sendable {
        let state: Mutex<(next: UInt64, done: Int, report: String?, tally: [String: Int])>
        private let end: UInt64
        private let deadline: ContinuousClock.Instant

        init(from first: UInt64, atMost count: UInt64, seconds: Double) {
            state = Mutex((first, 0, nil, [:]))
            end = first &+ min(count, .max - first)
            deadline = .now + .seconds(seconds)
        }

        func next() -> UInt64? {
            state.withLock { state in
                guard state.next < end, state.report == nil, ContinuousClock.now < deadline else { return nil }
                defer { state.next += 1 }
                return state.next
            }
        }

        func add(_ tally: [String: Int]) { state.withLock { $0.tally.merge(tally, uniquingKeysWith: +) } }

        func note(_ report: String?) {
            state.withLock { state in
                state.done += 1
                state.report = state.report ?? report
            }
        }
    }

    /// Ends at the first difference.
    func run(
        from first: UInt64, atMost count: UInt64, seconds: Double
    ) async throws -> (count: Int, report: String?, tally: [String: Int]) {
        let progress = Progress(from: first, atMost: count, seconds: seconds)
        let (changed, shrinks) = (changed, shrinks)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask {
                    let store = try ModelStore(changed: changed)
                    while let seed = progress.next() {
                        progress.note(try Self.check(seed: seed, on: store, shrinks: shrinks))
                    }
                    progress.add(store.tally)
                }
            }
            try await group.waitForAll()
        }
        return progress.state.withLock { ($0.done, $0.report, $0.tally) }
    }

    /// nil where model and store agree.
    static func check(seed: UInt64, on store: ModelStore, shrinks: Bool = true) throws -> String? {
        let steps = SequenceSource.steps(seed: seed)
        guard let first = try ModelRun.difference(steps, on: store) else { return nil }
        guard shrinks else { return "seed \(seed): \(first.text)" }
        let shrinker = Shrinker { steps in try ModelRun.difference(steps, on: store, isThorough: true) != nil }
        let short = try shrinker.shrink(steps)
        guard let last = try ModelRun.difference(short, on: store, isThorough: true) else {
            return "seed \(seed): \(first.text) behind step \(first.step), but not when it ran again"
        }
        let list = short.map { "    \($0)," }.joined(separator: "\n")
        return
            "seed \(seed), \(steps.count) steps, shrunk to \(short.count), at step \(last.step): \(last.text)\n\(list)"
    }
}
