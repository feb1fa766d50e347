/// When each loop last showed that it is alive: what `/health` answers from.

import Synchronization

package final class Pulse: Sendable {
    private let beats = Mutex<[String: ContinuousClock.Instant]>([:])

    package init() {}

    package func beat(_ loop: String) {
        beats.withLock { $0[loop] = ContinuousClock.now }
    }

    /// Loops that have not shown life for longer than `limit`, by name.
    package func stalled(longerThan limit: Duration) -> [String] {
        let now = ContinuousClock.now
        return beats.withLock { beats in beats.filter { now - $0.value > limit }.map(\.key).sorted() }
    }

    package func forget(_ loop: String) { beats.withLock { _ = $0.removeValue(forKey: loop) } }
}
