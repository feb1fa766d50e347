/// How many names are being looked up. curl's resolver takes a thread for each, which stays after its transfer has timed out,
/// until the C library gives up: a silent name server must not take all threads of the machine.

final class CurlLookups {
    static let most = 256
    /// The C library's own patience: 5 s, twice, as resolv.conf(5) has it.
    private static let longest = Duration.seconds(10)

    private var running = 0
    /// When those end whose transfer has ended before them, in order.
    private var abandoned: [ContinuousClock.Instant] = []

    /// False where there are too many.
    func begin() -> Bool {
        let now = ContinuousClock.now
        let ended = abandoned.prefix { $0 <= now }.count
        abandoned.removeFirst(ended)
        running -= ended
        guard running < Self.most else { return false }
        running += 1
        return true
    }

    func end() { running -= 1 }

    /// Nobody waits for it any more, but its thread does.
    func abandon() { abandoned.append(.now + Self.longest) }
}
