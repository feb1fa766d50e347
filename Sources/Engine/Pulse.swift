/// When each loop last showed that it is alive, and what keeps it from its work: what `/health` and `/ready` answer from.

import Logging
import RedisLink
import Synchronization

package final class Pulse: Sendable {
    private struct Loop {
        var beat = ContinuousClock.now
        /// Failed steps since the last one that was not.
        var failures = 0
        /// What Redis says to its steps, where waiting alone does not mend it.
        var trouble: String?
    }

    private let loops = Mutex<[String: Loop]>([:])

    package init() {}

    /// Loops that have not shown life for longer than `limit`, by name.
    package func stalled(longerThan limit: Duration) -> [String] {
        let now = ContinuousClock.now
        return loops.withLock { loops in loops.filter { now - $0.value.beat > limit }.map(\.key).sorted() }
    }

    /// Loops whose steps Redis answers with an error, and the error.
    package func troubled() -> [(loop: String, error: String)] {
        loops.withLock { loops in
            loops.compactMap { name, loop in loop.trouble.map { (name, $0) } }.sorted { $0.0 < $1.0 }
        }
    }

    package func forget(_ loop: String) { loops.withLock { _ = $0.removeValue(forKey: loop) } }

    fileprivate func beat(_ loop: String) { loops.withLock { $0[loop, default: Loop()].beat = .now } }

    /// Answers how many in a row, and whether it is the first of its kind.
    fileprivate func fail(_ loop: String, trouble: String?) -> (failures: Int, isNew: Bool) {
        loops.withLock { loops in
            var state = loops[loop] ?? Loop()
            state.beat = .now
            state.failures += 1
            let isNew = trouble != nil && state.trouble != trouble
            if let trouble { state.trouble = trouble }
            loops[loop] = state
            return (state.failures, isNew)
        }
    }

    /// True where there was trouble before.
    fileprivate func succeed(_ loop: String) -> Bool {
        loops.withLock { loops in
            let had = loops[loop]?.trouble != nil
            loops[loop, default: Loop()].failures = 0
            loops[loop]?.trouble = nil
            return had
        }
    }
}

/// A loop's own end of the pulse.
package struct LoopWatch: Sendable {
    package let name: String
    package let pulse: Pulse
    package let logger: Logger

    package init(_ name: String, pulse: Pulse, logger: Logger) {
        (self.name, self.pulse, self.logger) = (name, pulse, logger)
    }

    package func beat() { pulse.beat(name) }

    package func succeeded() {
        if pulse.succeed(name) { logger.notice("the \(name) loop works again") }
    }

    /// A step failed: answers how long to wait before the next, twice as long each time up to a second. Redis being away is
    /// the connection's to tell; an error that Redis answers is told once, and shows in `/ready` until a step succeeds.
    package func failed(_ error: RedisError) -> Duration {
        logger.debug("\(name): \(error)")
        var trouble: String?
        if case .server(let text) = error, !error.isTemporary { trouble = text }
        let (failures, isNew) = pulse.fail(name, trouble: trouble)
        if isNew { logger.error("the \(name) loop fails and tries again: \(error)") }
        return min(.milliseconds(50 << min(failures - 1, 5)), .seconds(1))
    }
}
