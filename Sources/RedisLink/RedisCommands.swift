/// The seam to Redis: a command and its reply. Tests wrap it to make the n-th call fail.

package protocol RedisCommands: Sendable {
    /// The reply, or what is known about why there is none. An error reply is thrown as `.server`.
    func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue
    /// The same for a caller that does not wait: `answer` is called once, on the thread the reply comes to, which it must not
    /// keep.
    func send(_ command: RedisCommand, _ answer: @escaping @Sendable (Result<RedisValue, RedisError>) -> Void)
    /// Does the work soon, on the thread that replies come to, after what that thread is at.
    func perform(_ work: @escaping @Sendable () -> Void)
    /// The same, but before this returns where the caller is on that thread.
    func performHere(_ work: @escaping @Sendable () -> Void)
}

extension RedisCommands {
    package func send(
        _ command: RedisCommand, _ answer: @escaping @Sendable (Result<RedisValue, RedisError>) -> Void
    ) {
        Task {
            do throws(RedisError) {
                answer(.success(try await send(command)))
            } catch {
                answer(.failure(error))
            }
        }
    }

    package func perform(_ work: @escaping @Sendable () -> Void) { Task { work() } }
    package func performHere(_ work: @escaping @Sendable () -> Void) { perform(work) }
}

package enum RedisError: Error, Equatable, CustomStringConvertible {
    /// Surely not applied: it never left this process whole.
    case notSent(String)
    /// Written, and the connection ended before the reply: it may have been applied.
    case outcomeUnknown(String)
    /// Redis answered with an error. A script that fails halfway has applied what came before.
    case server(String)

    package var description: String {
        switch self {
        case .notSent(let text): "not sent: \(text)"
        case .outcomeUnknown(let text): "outcome unknown: \(text)"
        case .server(let text): text
        }
    }

    private func serverText(startsWith words: String...) -> Bool {
        guard case .server(let text) = self else { return false }
        return words.contains { text.hasPrefix($0) }
    }

    /// The script must be loaded first.
    package var isNoScript: Bool { serverText(startsWith: "NOSCRIPT") }
    package var isOutOfMemory: Bool { serverText(startsWith: "OOM") }
    /// Passes by itself, or by the hand of an operator: still loading, busy with a script, a replica that becomes master,
    /// too few replicas, rights that were taken away. Nothing was applied.
    package var isTemporary: Bool {
        serverText(
            startsWith: "LOADING", "BUSY", "READONLY", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS",
            "NOPERM", "NOAUTH", "NOSCRIPT")
    }
}
