/// What would be said a thousand times a second is said once.

import Synchronization

final class LogBrake: Sendable {
    private static let pause = Duration.seconds(1)
    private let state = Mutex<(last: ContinuousClock.Instant?, held: Int)>((nil, 0))

    /// How many were held back since the last that passed; nil where this one is held back, too.
    func pass(at now: ContinuousClock.Instant = .now) -> Int? {
        state.withLock { state in
            if let last = state.last, now - last < Self.pause {
                state.held += 1
                return nil
            }
            defer { state = (now, 0) }
            return state.held
        }
    }
}
