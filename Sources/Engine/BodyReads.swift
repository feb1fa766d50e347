/// Large bodies are read from Redis a few at a time.

import Synchronization

/// Sixty of them asked for at once would stand before every other reply, and in memory long before their turn to be sent. One
/// body is read in any case, further ones while all together are within `mostBytes`; the others wait in line.
package final class BodyReads: Sendable {
    package static let mostBytes = 4 << 20

    /// Begins one read; what it is given is to be called once, when the read has ended.
    package typealias Read = @Sendable (_ ended: @escaping @Sendable () -> Void) -> Void

    private struct State {
        var bytes = 0
        var line: [(length: Int, read: Read)] = []

        /// Somebody is beginning those whose turn it is: a read may end before it returns, and a long line of such must not
        /// become a deep stack.
        var isBeginning = false

        func hasRoom(for length: Int) -> Bool { bytes == 0 || bytes + length <= mostBytes }

        mutating func next() -> (length: Int, read: Read)? {
            guard let first = line.first, hasRoom(for: first.length) else {
                isBeginning = false
                return nil
            }
            bytes += first.length
            return line.removeFirst()
        }
    }

    private let state = Mutex(State())

    package init() {}

    /// Begins the read of a body of `length` bytes when it is its turn: at once, or when others have ended, where they do.
    package func read(_ length: Int, _ read: @escaping Read) {
        let isNow = state.withLock { state in
            guard state.line.isEmpty, state.hasRoom(for: length) else {
                state.line.append((length, read))
                return false
            }
            state.bytes += length
            return true
        }
        if isNow { begin(length, read) }
    }

    private func begin(_ length: Int, _ read: Read) { read { [self] in end(length) } }

    private func end(_ length: Int) {
        let isMine = state.withLock { state in
            state.bytes -= length
            defer { state.isBeginning = true }
            return !state.isBeginning
        }
        guard isMine else { return }
        while let turn = state.withLock({ $0.next() }) { begin(turn.length, turn.read) }
    }
}
