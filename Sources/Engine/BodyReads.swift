/// Large bodies are read from Redis a few at a time.

import Synchronization

/// Sixty of them asked for at once would stand before every other reply, and in memory long before their turn to be sent. One
/// body is read in any case, further ones while all together are within `mostBytes`; the others wait in line.
package final class BodyReads: Sendable {
    package static let mostBytes = 4 << 20

    private struct State {
        var bytes = 0
        var line: [(length: Int, turn: CheckedContinuation<Void, Never>)] = []

        func hasRoom(for length: Int) -> Bool { bytes == 0 || bytes + length <= mostBytes }
    }

    private let state = Mutex(State())

    package init() {}

    /// Waits for the turn of a body of `length` bytes, and reads it.
    package func read<Value>(_ length: Int, _ body: () async -> Value) async -> Value {
        await withCheckedContinuation { turn in
            let isNow = state.withLock { state in
                guard state.line.isEmpty, state.hasRoom(for: length) else {
                    state.line.append((length, turn))
                    return false
                }
                state.bytes += length
                return true
            }
            if isNow { turn.resume() }
        }
        defer { end(length) }
        return await body()
    }

    private func end(_ length: Int) {
        let turns = state.withLock { state in
            state.bytes -= length
            var turns: [CheckedContinuation<Void, Never>] = []
            while let next = state.line.first, state.hasRoom(for: next.length) {
                state.bytes += next.length
                turns.append(next.turn)
                state.line.removeFirst()
            }
            return turns
        }
        for turn in turns { turn.resume() }
    }
}
