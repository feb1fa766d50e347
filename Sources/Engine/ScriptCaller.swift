/// Runs one script until it is answered: the law that every call may arrive twice makes sending it again safe.

import Domain
import Logging
import RedisLink
import Synchronization

package struct ScriptCaller: Sendable {
    package let redis: any RedisCommands
    package let clock: NodeClock
    package let root: String
    package let logger: Logger
    package let metrics: EngineMetrics
    let nextClaim = NextClaim()
    private let shedder = LogShedder()

    package init(
        redis: any RedisCommands, clock: NodeClock, root: String, logger: Logger, metrics: EngineMetrics
    ) {
        (self.redis, self.clock, self.root, self.logger, self.metrics) = (redis, clock, root, logger, metrics)
    }

    /// One attempt; a `clock` refusal is answered by asking Redis for the time and trying once more.
    ///
    /// - `claimsNext`: what `nextClaim.comes()` has just answered.
    package func once(
        _ script: Script, _ arguments: [RedisPart], root: String? = nil, claimsNext: Bool = false
    ) async throws(RedisError) -> [RedisValue] {
        let reply = try await send(script, arguments, root, claimsNext)
        guard reply.first?.string == "clock" else { return reply }
        try await clock.sync(over: redis, refusedAt: reply.count > 1 ? reply[1].int64 : nil)
        return try await send(script, arguments, root)
    }

    private func send(
        _ script: Script, _ arguments: [RedisPart], _ root: String?, _ claimsNext: Bool = false
    ) async throws(RedisError) -> [RedisValue] {
        var claimsNext = claimsNext
        return try await sheddingLog { () throws(RedisError) in
            defer { claimsNext = false }
            return try await run(script, arguments, root, claimsNext)
        }
    }

    /// ARGV[1].
    private func time(_ claimsNext: Bool) -> RedisPart {
        .text(claimsNext ? clock.argument + " claims" : clock.argument)
    }

    /// Where memory is short the log goes, segment by segment, before anything is refused.
    func sheddingLog<Value>(_ call: () async throws(RedisError) -> Value) async throws(RedisError) -> Value {
        // A busy server writes events all the time: there is always something to shed, but not always enough.
        for _ in 0..<Self.mostSheds {
            do {
                return try await call()
            } catch {
                guard error.isOutOfMemory, !Task.isCancelled, await shedLog() else { throw error }
            }
        }
        return try await call()
    }

    private static let mostSheds = 100

    /// False where nothing of the log is left, or Redis can't be asked.
    private func shedLog() async -> Bool {
        await shedder.shed {
            guard let reply = try? await run(Scripts.logShed, [], nil), reply.count == 3,
                let events = reply[1].int64, events > 0
            else { return false }
            logger.warning(
                "Redis is out of memory: dropped \(events) events of the log, \(reply[2].int64 ?? 0) bytes are left")
            return true
        }
    }

    private func run(
        _ script: Script, _ arguments: [RedisPart], _ root: String?, _ claimsNext: Bool = false
    ) async throws(RedisError) -> [RedisValue] {
        let (start, keys) = (ContinuousClock.now, [root ?? self.root])
        var reply: RedisValue?
        if claimsNext {
            do {
                reply = try await redis.send(script.command(keys: keys, arguments: [time(true)] + arguments))
            } catch {
                // Loaded and sent again it comes behind the claim: then it wakes whoever sleeps.
                guard error.isNoScript else { throw error }
            }
        }
        if reply == nil { reply = try await redis.run(script, keys: keys, arguments: [time(false)] + arguments) }
        metrics.scriptTook(script.name, ContinuousClock.now - start)
        guard let values = reply?.array else { throw .server("\(script.name) answered no array") }
        return values
    }

    /// Sends the call again until it is answered or `deadline` has passed. Redis being away, loading or read-only is
    /// waited out; any other error reply ends it.
    ///
    /// - `root`: the key it works on where that is not the root of messages.
    /// - `wasSent`: it was before, and nobody knows what became of it.
    /// - `claimsNext`: see `once`; the first attempt only.
    package func untilAnswered(
        _ script: Script, _ arguments: [RedisPart], root: String? = nil, wasSent: Bool = false,
        claimsNext: Bool = false, deadline: ContinuousClock.Instant
    ) async throws(StoreError) -> [RedisValue] {
        var (unknown, claimsNext) = (wasSent, claimsNext)
        var pause = Duration.milliseconds(5)
        while true {
            do throws(RedisError) {
                defer { claimsNext = false }
                let reply = try await once(script, arguments, root: root, claimsNext: claimsNext)
                guard reply.first?.string != "clock" else { throw .notSent("clock") }
                return reply
            } catch {
                switch error {
                case .outcomeUnknown: unknown = true
                case .notSent: break
                case .server(let text):
                    guard error.isTemporary else {
                        if error.isOutOfMemory { throw .refused(text) }
                        throw .broken(text)
                    }
                }
                if Task.isCancelled || ContinuousClock.now + pause >= deadline {
                    throw unknown ? .outcomeUnknown : .unavailable
                }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(500))
            }
        }
    }

    /// The same for a caller that does not wait. An answer that comes at the first attempt is told on the thread it comes to,
    /// which `answer` must not keep; only the attempts after it need a task.
    ///
    /// - Parameters:
    ///   - carried: goes with the first attempt only, whose reply has an answer more.
    ///   - lost: called where that attempt was not answered, before it is made again.
    func untilAnswered(
        _ script: Script, _ arguments: [RedisPart], carrying carried: CarriedClaim?,
        deadline: ContinuousClock.Instant, lost: @escaping @Sendable () -> Void,
        _ answer: @escaping @Sendable (Result<[RedisValue], StoreError>) -> Void
    ) {
        let start = ContinuousClock.now
        let command = script.command(
            keys: [root], arguments: [time(false)] + arguments + (carried?.arguments ?? []))
        redis.send(command) { result in
            if case .success(let reply) = result, let values = reply.array, values.first?.string != "clock" {
                metrics.scriptTook(script.name, ContinuousClock.now - start)
                return answer(.success(values))
            }
            lost()
            let wasSent = if case .failure(.outcomeUnknown) = result { true } else { false }
            let isUnanswered = if case .failure(.notSent) = result { true } else { wasSent }
            if isUnanswered, ContinuousClock.now >= deadline {
                return answer(.failure(wasSent ? .outcomeUnknown : .unavailable))
            }
            Task {
                let later: Result<[RedisValue], StoreError>
                do throws(StoreError) {
                    later = .success(
                        try await untilAnswered(script, arguments, wasSent: wasSent, deadline: deadline))
                } catch {
                    later = .failure(error)
                }
                answer(later)
            }
        }
    }

    /// Sends the call again until it is answered, for as long as the loop lives. Nil only when the task is cancelled.
    /// Beats while Redis is away: that is no reason to take the process for stuck.
    package func whileAlive(
        _ script: Script, _ arguments: [RedisPart], claimsNext: Bool, _ beat: @Sendable () -> Void
    ) async throws(StoreError) -> [RedisValue]? {
        var (complained, claimsNext) = (false, claimsNext)
        while !Task.isCancelled {
            beat()
            do {
                defer { claimsNext = false }
                return try await untilAnswered(
                    script, arguments, claimsNext: claimsNext, deadline: .now + .seconds(1))
            } catch {
                switch error {
                case .unavailable, .outcomeUnknown, .refused:
                    if !complained { logger.warning("\(script.name): Redis is away, trying again") }
                    complained = true
                case .broken: throw error
                }
            }
        }
        return nil
    }
}
