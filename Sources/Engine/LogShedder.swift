/// Makes room in a Redis whose memory is full: drops the log, segment by segment.

import Logging
import RedisLink

/// Everybody who is refused at the same time shares one drop: Redis frees what was unlinked a moment later, so the next
/// one must wait for what the last one brought.
package actor LogShedder {
    private var running: Task<Bool, Never>?

    package init() {}

    /// Drops one segment, or waits for the drop under way. False where nothing of the log is left.
    func shed(_ drop: @escaping @Sendable () async -> Bool) async -> Bool {
        if let running { return await running.value }
        let task = Task {
            let dropped = await drop()
            if dropped { try? await Task.sleep(for: .milliseconds(10)) }
            return dropped
        }
        running = task
        defer { running = nil }
        return await task.value
    }
}
