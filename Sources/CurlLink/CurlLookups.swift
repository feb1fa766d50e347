/// How many names are being looked up. curl's resolver takes a thread for each, which stays after its transfer has timed out,
/// until the C library gives up: a silent name server must neither take all threads nor stop the names that do resolve.

final class CurlLookups {
    /// Of names that have resolved before, and of others: each kind leaves the other's alone.
    static let mostOfAKind = 256
    private static let mostNames = 10_000
    /// How long the C library tries, with the options of `curlGlobal` and two name servers.
    static let longest = Duration.seconds(8)

    enum Answer { case goOn(Lookup), tooMany, silent }

    struct Lookup {
        fileprivate var name: String
        fileprivate var isKnown: Bool
    }

    private var known: Set<String> = []
    private var running = (known: 0, unknown: 0)
    /// Lookups whose transfer has ended before them, in order, and when their threads end.
    private var abandoned: [(lookup: Lookup, until: ContinuousClock.Instant)] = []
    private var silent: [String: ContinuousClock.Instant] = [:]

    /// `silent` for a name that somebody gave up a moment ago: its thread still waits for an answer.
    func begin(_ name: String) -> Answer {
        forget()
        if silent[name] != nil { return .silent }
        let lookup = Lookup(name: name, isKnown: known.contains(name))
        guard (lookup.isKnown ? running.known : running.unknown) < Self.mostOfAKind else { return .tooMany }
        count(lookup, 1)
        return .goOn(lookup)
    }

    /// - Parameter resolved: an address came.
    func end(_ lookup: Lookup, resolved: Bool) {
        count(lookup, -1)
        guard resolved else { return }
        if known.count >= Self.mostNames { known = [] }
        known.insert(lookup.name)
    }

    /// Nobody waits for it any more, but its thread does.
    func abandon(_ lookup: Lookup) {
        let until = ContinuousClock.now + Self.longest
        abandoned.append((lookup, until))
        silent[lookup.name] = until
    }

    private func forget() {
        let now = ContinuousClock.now
        let ended = abandoned.prefix { $0.until <= now }
        for (lookup, until) in ended {
            count(lookup, -1)
            if silent[lookup.name] == until { silent[lookup.name] = nil }
        }
        abandoned.removeFirst(ended.count)
    }

    private func count(_ lookup: Lookup, _ change: Int) {
        if lookup.isKnown { running.known += change } else { running.unknown += change }
    }
}
