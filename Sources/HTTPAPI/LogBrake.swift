/// What would be said a thousand times a second is said once.

import Logging
import Synchronization

final class LogBrake: Sendable {
    private static let pause = Duration.seconds(1)
    private let state = Mutex<(last: ContinuousClock.Instant?, held: Int)>((nil, 0))

    /// Nil where this line is held back; else what it says of those that were since the last that passed.
    func pass(at now: ContinuousClock.Instant = .now) -> Logger.Metadata? {
        state.withLock { state in
            if let last = state.last, now - last < Self.pause {
                state.held += 1
                return nil
            }
            defer { state = (now, 0) }
            return state.held > 0 ? ["heldBack": "\(state.held)"] : [:]
        }
    }
}
