/// SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once. SIGHUP: files are read again.

import Foundation
import Synchronization
import UnixSignals

struct StopSignals: Sendable {
    /// Calls `reload` at each SIGHUP, until the task is cancelled.
    func watch(reload: @escaping @Sendable () -> Void) async {
        for await _ in await UnixSignalsSequence(trapping: .sighup) { reload() }
    }

    /// So soon after the first a signal is the same one: `timeout` sends it to the process and then to its whole group.
    private static let echo = Duration.milliseconds(300)

    /// Calls `stop` at the first signal. At the second the process ends with 128 + its number; `lastWords` is for
    /// what must not stay behind.
    func watch(stop: @escaping @Sendable (String) -> Void, lastWords: @escaping @Sendable () -> Void = {}) async {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        var first: ContinuousClock.Instant?
        for await signal in signals {
            if let first {
                if ContinuousClock.now - first < Self.echo { continue }
                lastWords()
                _exit(128 + (signal == .sigint ? SIGINT : SIGTERM))
            } else {
                first = .now
                stop("\(signal)")
            }
        }
    }
}
