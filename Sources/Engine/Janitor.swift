/// Removes what is kept for a time only. Nothing waits for it: it is not in the path of any message.

import Logging
import RedisLink

package struct Janitor: Sendable {
    private let scripts: ScriptCaller
    private let settings: StoreSettings
    private let wakeup: Wakeup

    package init(scripts: ScriptCaller, settings: StoreSettings, wakeup: Wakeup) {
        (self.scripts, self.settings, self.wakeup) = (scripts, settings, wakeup)
    }

    package func run(_ watch: LoopWatch) async {
        while !Task.isCancelled {
            watch.beat()
            do {
                while try await step(), !Task.isCancelled { watch.beat() }
                try await sweepQueues()
                try await makeRoom()
                watch.succeeded()
            } catch {
                _ = watch.failed(error)
            }
            await wakeup.wait(atMost: .seconds(5))
        }
    }

    /// What goes on with memory full (deliveries, settles) writes to the log, too, and nobody is refused who would shed it: a
    /// publish of nothing is.
    private func makeRoom() async throws(RedisError) {
        _ = try await scripts.once(
            Scripts.publish,
            [
                .integer(settings.endedFor.milliseconds), .integer(settings.deduplicationWindow.milliseconds),
                .integer(0), .integer(0),
            ])
    }

    /// Goes on with queues whose deletion was begun by a process that ended.
    private func sweepQueues() async throws(RedisError) {
        let names = try await scripts.redis.send(RedisCommand("SMEMBERS", "\(scripts.root):deleting")).array ?? []
        for name in names.compactMap(\.string) {
            while true {
                let reply = try await scripts.once(
                    Scripts.queueDelete, [.text(name), .text("sweep"), .integer(64), .text("")])
                guard reply.count == 3, reply[2].int64 == 1 else { break }
            }
        }
    }

    /// Removes one bounded piece; answers whether there is more.
    @discardableResult
    package func step() async throws(RedisError) -> Bool {
        let reply = try await scripts.once(
            Scripts.collect,
            [
                .integer(settings.keepDelivered.milliseconds), .integer(settings.endedFor.milliseconds),
                .integer(settings.deadLetterRetention.milliseconds), .integer(settings.logRetention.milliseconds),
                .integer(200),
            ])
        return reply.count == 3 && reply[2].int64 == 1
    }
}
