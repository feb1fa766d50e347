/// Gives what a dead node held a new life.

import Logging
import RedisLink

package struct Reclaimer: Sendable {
    static let mostMessages = 200

    private let scripts: ScriptCaller
    private let node: String
    private let lease: Duration
    private let mayReclaim: @Sendable () -> Bool
    private let wakeup: Wakeup

    package init(
        scripts: ScriptCaller, node: String, lease: Duration, wakeup: Wakeup,
        mayReclaim: @escaping @Sendable () -> Bool
    ) {
        (self.scripts, self.node, self.lease) = (scripts, node, lease)
        (self.mayReclaim, self.wakeup) = (mayReclaim, wakeup)
    }

    package func run(_ watch: LoopWatch) async {
        while !Task.isCancelled {
            watch.beat()
            var pause = min(lease / 5, .seconds(2))
            do {
                if mayReclaim() { while try await step() > 0 { watch.beat() } }
                watch.succeeded()
            } catch {
                pause = max(pause, watch.failed(error))
            }
            await wakeup.wait(atMost: pause)
        }
    }

    /// Reclaims one bounded piece; answers how many messages.
    @discardableResult
    package func step() async throws(RedisError) -> Int {
        let reply = try await scripts.once(
            Scripts.reclaim, [.text(node), .integer(Int64(Self.mostMessages))])
        guard reply.count == 3, reply[0].string == "ok" else { return 0 }
        let count = Int(reply[1].int64 ?? 0)
        if count > 0 {
            scripts.metrics.reclaimed(count)
            scripts.logger.warning("reclaimed \(count) messages of nodes whose lease has ended")
        }
        return count
    }
}
