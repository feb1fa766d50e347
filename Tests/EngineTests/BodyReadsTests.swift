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
                    await reads.read(length) {
                        seen.begin(length)
                        await Task.yield()
                        seen.end(length)
                    }
                }
            }
        }
        #expect(seen.values.done == 700 && seen.values.now == 0)
        #expect(seen.values.most <= BodyReads.mostBytes && seen.values.most > 2 << 20)
    }
}
