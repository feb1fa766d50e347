/// Guessing is slow: an address that sends wrong tokens waits longer for each answer. The right token never waits, so that
/// callers behind the same proxy are not locked out by one of them.

import Domain
import Synchronization

package final class WrongTokens: Sendable {
    private struct Record {
        /// Wrong tokens that still count: one is forgiven every `forgivenAfter`.
        var count: Double
        var at: ContinuousClock.Instant
    }

    /// As many are answered at once: a deploy with the old token must not look like an attack.
    static let free = 10.0
    static let longest = Duration.seconds(5)
    private static let forgivenAfter = Duration.seconds(6)
    /// Addresses that are remembered; the others share one record.
    private static let mostAddresses = 10_000

    private struct State {
        var records: [String: Record] = [:]
        var lastForgotten = ContinuousClock.now
    }

    private let state = Mutex(State())

    package init() {}

    package struct Verdict: Sendable, Equatable {
        /// How long the answer is to wait.
        package var delay: Duration
        /// The address went over what is free with this one: worth a line in the log.
        package var isFirstDelayed: Bool
    }

    /// Counts one from `address` (IPv6: its /64, which one caller has whole).
    package func record(_ address: String, at now: ContinuousClock.Instant = .now) -> Verdict {
        return state.withLock { state in
            Self.forget(&state, now)
            var source = Self.source(address)
            if state.records.count >= Self.mostAddresses, state.records[source] == nil { source = "" }
            let count = Self.left(state.records[source], now) + 1
            state.records[source] = Record(count: count, at: now)
            guard count > Self.free else { return Verdict(delay: .zero, isFirstDelayed: false) }
            let step = min(max(Int((count - Self.free).rounded(.up)), 1), 8)
            let delay = Duration.milliseconds(25 << step)
            return Verdict(delay: min(delay, Self.longest), isFirstDelayed: count <= Self.free + 1)
        }
    }

    private static func left(_ record: Record?, _ now: ContinuousClock.Instant) -> Double {
        guard let record else { return 0 }
        return max(0, record.count - (now - record.at) / forgivenAfter)
    }

    private static func forget(_ state: inout State, _ now: ContinuousClock.Instant) {
        guard state.records.count >= mostAddresses, now - state.lastForgotten > .seconds(1) else { return }
        state.lastForgotten = now
        state.records = state.records.filter { left($0.value, now) > 0 }
    }

    private static func source(_ address: String) -> String {
        guard let ip = IPAddress(address), !ip.isIPv4, ip.embeddedIPv4 == nil else { return address }
        return ip.bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":")
    }
}
