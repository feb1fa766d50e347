/// A Redis whose n-th call fails, before it is sent or after it was applied.

import RedisLink
import Synchronization

package final class FaultyRedis: RedisCommands {
    package enum Fault: Sendable, CaseIterable {
        /// The command never left.
        case beforeSending
        /// It was applied and the reply was lost.
        case replyLost
    }

    private let redis: any RedisCommands
    private let fault: Fault
    private let number: Int
    private let calls = Mutex(0)

    /// - Parameter number: of the call that fails, from 1.
    package init(_ redis: any RedisCommands, fault: Fault, atCall number: Int) {
        (self.redis, self.fault, self.number) = (redis, fault, number)
    }

    package func perform(_ work: @escaping @Sendable () -> Void) { redis.perform(work) }
    package func performHere(_ work: @escaping @Sendable () -> Void) { redis.performHere(work) }

    /// Whether the fault was felt.
    package var hasFired: Bool { calls.withLock { $0 >= number } }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        let call = calls.withLock { calls in
            calls += 1
            return calls
        }
        guard call == number else { return try await redis.send(command) }
        switch fault {
        case .beforeSending: throw .notSent("injected")
        case .replyLost:
            _ = try await redis.send(command)
            throw .outcomeUnknown("injected")
        }
    }
}
