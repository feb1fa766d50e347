/// Ctrl-C during long work: what is under way ends, what was done is told, and then the program ends.

import Foundation
import Synchronization
import UnixSignals

enum Interruption {
    private final class Mark: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .relaxed) }
        /// Whether it was set before.
        func set() -> Bool { value.exchange(true, ordering: .relaxed) }
    }

    /// Runs `work` as a task that SIGINT or SIGTERM cancels; a second signal ends the program at once. The work looks at
    /// `Task.isCancelled` between its steps and returns.
    ///
    /// - Returns: whether the work was interrupted.
    static func guarding(_ work: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let task = Task { try await work() }
        let mark = Mark()
        let watch = Task {
            for await _ in signals {
                if mark.set() { _exit(ClientStatus.interrupted) }
                task.cancel()
            }
        }
        defer { watch.cancel() }
        do {
            try await task.value
        } catch {
            // What a cancelled call answers is no news.
            if !mark.isSet { throw error }
        }
        return mark.isSet
    }

    /// Runs a step to its end although its task was cancelled: a call that changes something must say what it did.
    static func whole<Value: Sendable>(_ step: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Task { try await step() }.value
    }
}
