// Optional limits of the API itself (contract conventions.md §7); off unless set.

package struct RateLimit: Sendable, Hashable {
    /// Calls a second to everything but publish, enqueue and batch; nil = any number.
    package var burst: Int64?
    /// Messages published in one UTC day; nil = any number.
    package var daily: Int64?

    package init(burst: Int64? = nil, daily: Int64? = nil) { (self.burst, self.daily) = (burst, daily) }

    /// `burst=100,daily=1000`, one of them, or `off`; nil for anything else.
    package init?(_ text: String) {
        self.init()
        if ASCII.equalIgnoringCase(ASCII.trimmed(text), "off") { return }
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", maxSplits: 1).map { ASCII.trimmed(String($0)) }
            guard pair.count == 2, let value = ASCII.saturatingInteger(pair[1].utf8), value >= 1 else { return nil }
            switch pair[0] {
            case "burst" where burst != nil, "daily" where daily != nil: return nil
            case "burst": burst = min(value, FlowControl.mostStarts)
            case "daily": daily = min(value, FlowControl.mostStarts)
            default: return nil
            }
        }
    }

    package enum Kind: String, Sendable {
        case burst, daily

        /// Milliseconds.
        package var window: Int64 {
            switch self {
            case .burst: 1000
            case .daily: 86_400_000
            }
        }
    }
}

extension RequestError {
    /// Clients tell the kinds apart by the names of the headers: those of one must not stand on the other.
    ///
    /// - `reset`: when the window ends.
    package static func rateLimited(_ kind: RateLimit.Kind, limit: Int64, left: Int64, reset: Timestamp) -> RequestError
    {
        let prefix = kind == .burst ? "Burst-RateLimit-" : "RateLimit-"
        return RequestError(
            status: 429, text: "Exceeded \(kind.rawValue) rate limit",
            headers: [
                (prefix + "Limit", String(limit)), (prefix + "Remaining", String(left)),
                (prefix + "Reset", String(reset.seconds)),
            ])
    }
}
