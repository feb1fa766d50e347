/// What the store and the loops are told by the configuration (running.md, Settings).

import Domain

package struct StoreSettings: Sendable {
    /// First part of every key; the root is `<prefix>:{0}`.
    package var prefix = "roost"
    /// How long a call that changes something is tried before the caller hears 503.
    package var storeTimeout: Duration = .seconds(10)
    /// A delivered message stays readable this long, or until `keepDeliveredBytes` are kept (contract messages.md §2).
    package var keepDelivered: Duration = .seconds(60)
    package var keepDeliveredBytes = 64 << 20
    package var deadLetterRetention: Duration = .seconds(7 * 86_400)
    package var logRetention: Duration = .seconds(14 * 86_400)
    /// Bytes of the whole log; 0 = nothing is logged.
    package var logMaxBytes = 256 << 20
    /// Bytes of a body that the log keeps.
    package var logBodyBytes = 16 << 10
    package var deduplicationWindow: Duration = .seconds(600)
    /// Queues at most; 0 = any number.
    package var maxQueues: Int64 = 0
    package var maxSchedules: Int64 = 0
    package var maxTopics: Int64 = 0
    /// A body shared by a fan-out is stored once when it is larger than this.
    package var sharedBodyBytes = 4096
    /// The body of any message above it has a key of its own, so that a claim need not carry it (`large_body` in `claim.lua`).
    package var largeBodyBytes = 16384

    package init() {}

    /// How much of a message's body the log keeps: nothing of one that is hidden.
    func logBytes(of record: MessageRecord) -> Int { record.redaction?.hidesBody == true ? 0 : logBodyBytes }

    package var root: String { prefix + ":{0}" }
    /// Ids of ended messages stay known for twice the time a publish may be sent again.
    package var endedFor: Duration { storeTimeout * 2 }
}

package struct EngineSettings: Sendable {
    package var store = StoreSettings()
    /// Requests in flight in this process at most.
    package var maxInFlight = 4096
    /// Bytes of messages in flight in this process at most; one message goes however large it is.
    package var maxInFlightBytes = 256 << 20
    /// A lane starts a request only while it has fewer in flight here than share x what is free.
    package var laneShare = 1.0
    /// How long a node is believed alive without renewal; renewed every third of it.
    package var lease: Duration = .seconds(10)
    package var drainTimeout: Duration = .seconds(30)
    package var limits = Limits()
    package var callbackFormat = CallbackFormat.observed
    /// `Upstash-Region` of deliveries; nil sends no header (contract conventions.md §10).
    package var region: String? = "EU-CENTRAL-1"

    package init() {}
}

package enum StoreError: Error, Equatable, CustomStringConvertible {
    /// Surely nothing was stored.
    case unavailable
    /// The call may have been applied; the same call must be sent again to know.
    case outcomeUnknown
    /// Redis refuses: out of memory, no permission, read-only.
    case refused(String)
    /// A bug, ours or in the data; the text is for the log.
    case broken(String)

    package var description: String {
        switch self {
        case .unavailable: "Redis does not answer"
        case .outcomeUnknown: "Redis went away, and whether it was applied is unknown"
        case .refused(let text), .broken(let text): text
        }
    }
}

extension Duration {
    /// Whole milliseconds, never negative, clamped to what a score can hold exactly.
    package var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 9_000_000_000_000 else { return 9_000_000_000_000_000 }
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    /// Whole microseconds; negative where it is. Clamped to what is far beyond any clock.
    var microseconds: Int64 {
        let (seconds, attoseconds) = components
        return min(max(seconds, -9_000_000_000), 9_000_000_000) * 1_000_000 + attoseconds / 1_000_000_000_000
    }

    package var inSeconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
