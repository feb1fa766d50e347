/// What this node holds: every message from the reply of its claim until the reply of its settle.

import Synchronization

/// The snapshot that a full renewal names must be taken together with the number of the last claim whose reply was
/// read: both live here, behind one lock. More than one claim may be under way, because publishes carry theirs (`CarriedClaim`),
/// and one whose reply was lost is asked for again. So the number is that of the last before the first whose reply was not read:
/// what that one brings is never given back behind the node's back.
package final class HeldMessages: Sendable {
    private struct State {
        var held: [String: (place: String, size: Int)] = [:]
        var bytes = 0
        var lastClaim: Int64 = 0
        /// Bytes that claims may bring whose replies were not read, by their numbers.
        var claims: [Int64: Int] = [:]

        func room(_ limit: Int) -> Int { limit - bytes - claims.values.reduce(0, +) }
    }

    private let state = Mutex(State())

    package init() {}

    /// A new claim; nil where there is no room.
    ///
    /// - Parameters:
    ///   - limit: bytes that may be held, or be brought by claims that are under way.
    ///   - most: bytes it may bring, where there is room for so many.
    package func beginClaim(limit: Int, most: Int) -> BegunClaim? {
        state.withLock { state in
            let room = state.room(limit)
            guard room > 0 else { return nil }
            let bytes = min(room, most)
            state.lastClaim += 1
            state.claims[state.lastClaim] = bytes
            return BegunClaim(number: state.lastClaim, bytes: bytes)
        }
    }

    /// Whether a claim could begin.
    package func hasRoom(limit: Int) -> Bool { state.withLock { $0.room(limit) > 0 } }

    /// That claim took nothing and never will.
    package func abandonClaim(_ number: Int64) { state.withLock { $0.claims[number] = nil } }

    /// What the reply of a claim brought.
    package func add(_ claimed: [ClaimedMessage], ofClaim number: Int64) {
        state.withLock { state in
            for message in claimed {
                let size = message.size
                state.bytes += size - (state.held.updateValue((message.place, size), forKey: message.id)?.size ?? 0)
            }
            state.claims[number] = nil
        }
    }

    /// The answer of an attempt has come: it takes memory until its settle was answered.
    package func grow(_ message: ClaimedMessage, by bytes: Int) {
        state.withLock { state in
            guard state.held[message.id]?.place == message.place else { return }
            state.held[message.id]?.size += bytes
            state.bytes += bytes
        }
    }

    /// By place, not by id alone: a message that is retried at once may be held anew before its settle was noted.
    package func remove(_ settled: some Sequence<ClaimedMessage>) {
        state.withLock { state in
            for message in settled where state.held[message.id]?.place == message.place {
                state.bytes -= state.held.removeValue(forKey: message.id)?.size ?? 0
            }
        }
    }

    package var count: Int { state.withLock { $0.held.count } }
    package var bytes: Int { state.withLock { $0.bytes } }

    package func snapshot() -> (ids: [String], lastReadClaim: Int64) {
        state.withLock { (Array($0.held.keys), ($0.claims.keys.min().map { $0 - 1 }) ?? $0.lastClaim) }
    }
}

/// A message as `claim` answers it. `place` is what `settle` must name: the fence.
package struct ClaimedMessage: Sendable {
    package var id: String
    package var place: String
    package var retried: Int
    package var reclaimed: Int
    package var request: [UInt8]
    package var body: [UInt8]
    /// Where a large body is that was not claimed with the rest; nil where `body` is all of it.
    package var bodyApart: BodyApart?
    /// When it was due, in ms since 1970.
    package var due: Int64
    /// What `request` says, where this process wrote it itself.
    package var record: KnownRecord?

    package init(
        id: String, place: String, retried: Int, reclaimed: Int, request: [UInt8], body: [UInt8], due: Int64,
        bodyApart: BodyApart? = nil, record: KnownRecord? = nil
    ) {
        (self.id, self.place, self.retried, self.reclaimed) = (id, place, retried, reclaimed)
        (self.request, self.body, self.due, self.bodyApart, self.record) = (request, body, due, bodyApart, record)
    }

    package var size: Int { request.count + (bodyApart?.length ?? body.count) + 256 }

    /// The entry number in `place`: unique for every claim of any message, so also what makes a dead letter id unique.
    package var entryNumber: Substring {
        let bytes = place.utf8
        guard let blank = bytes.firstIndex(of: UInt8(ascii: " ")) else { return "0" }
        let number = bytes[bytes.index(after: blank)...].prefix { $0 != UInt8(ascii: "-") }
        return number.isEmpty ? "0" : Substring(number)
    }

    /// For counters.
    package var laneKind: LaneKind { LaneKind(place: place) }

    /// For people: "host:example.com", say.
    package var lane: Substring {
        place.prefix { $0 != " " }.drop { $0 != "}" }.dropFirst(2).drop { $0 != ":" }.dropFirst()
    }
}

/// A body under its own key, `body:<hash>`.
package struct BodyApart: Sendable {
    /// SHA-256 of the body, hex.
    package var hash: String
    /// Bytes.
    package var length: Int
}

package enum LaneKind: String, Sendable, CaseIterable {
    case topic, host, queue, flow

    /// Of a lane's name.
    package init(lane: some StringProtocol) {
        self = LaneKind(rawValue: String(lane.prefix { $0 != ":" })) ?? .host
    }

    /// Of a place, `<root>:lane:<lane> <entry>` or `<root>:again:<lane> <entry>`, a root being `<prefix>:{<n>}`. Asked for
    /// each settled attempt, so it looks at bytes.
    init(place: String) {
        let place = place.utf8
        guard let brace = place.firstIndex(of: UInt8(ascii: "}")) else {
            self = .host
            return
        }
        let lane = place[brace...].dropFirst(2).drop { $0 != UInt8(ascii: ":") }.dropFirst()
        self = [.topic, .queue, .flow].first { lane.starts(with: $0.rawValue.utf8) } ?? .host
    }
}
