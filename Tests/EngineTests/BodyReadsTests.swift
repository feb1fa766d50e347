import Engine
import Synchronization
import Testing

@Suite struct BodyReadsTests {
    private final class Seen: Sendable {
        private let state = Mutex((now: 0, most: 0, done: 0))

        func begin(_ length: Int) {
            state.withLock { state in
                state.now += length
                if length <= BodyReads.mostBytes { state.most = max(state.most, state.now) }
            }
        }

        func end(_ length: Int) {
            state.withLock { state in
                state.now -= length
                state.done += 1
            }
        }

        var values: (now: Int, most: Int, done: Int) { state.withLock { $0 } }
    }

    @Test func soManyBytesAtOnceAndAllInTheEnd() async {
        let (reads, seen) = (BodyReads(), Seen())
        let lengths = [1 << 20, BodyReads.mostBytes * 2, 3 << 20, 0, 2 << 20, 1, BodyReads.mostBytes]
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<700 {
                let length = lengths[number % lengths.count]
                group.addTask {
                    await withCheckedContinuation { continuation in
                        reads.read(length) { ended in
                            seen.begin(length)
                            Task {
                                seen.end(length)
                                ended()
                                continuation.resume()
                            }
                        }
                    }
                }
            }
        }
        #expect(seen.values.done == 700 && seen.values.now == 0)
        #expect(seen.values.most <= BodyReads.mostBytes && seen.values.most > 2 << 20)
    }

    /// What waits while Redis is away ends all at once when the process does: no read may stand on the stack of the one before.
    @Test func aLongLineOfReadsThatEndAtOnceIsNoDeepStack() {
        let (reads, seen) = (BodyReads(), Seen())
        let first = Mutex<(@Sendable () -> Void)?>(nil)
        reads.read(BodyReads.mostBytes) { ended in first.withLock { $0 = ended } }
        for _ in 0..<40_000 {
            reads.read(1 << 20) { ended in
                seen.begin(1)
                seen.end(1)
                ended()
            }
        }
        #expect(seen.values.done == 0)
        first.withLock { $0.take() }?()
        #expect(seen.values.done == 40_000)
    }
}
