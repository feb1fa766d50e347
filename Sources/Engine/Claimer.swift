/// Takes messages for this node: one claim outstanding, numbered, sent again under its number until answered.

import Domain
import Logging
import RedisLink
import Synchronization

package struct Claim: Sendable {
    package enum Round: Sendable, Equatable {
        /// The whole ring was seen: sleep until something new comes.
        case done
        /// The node's capacity is used up: claim again after a settle.
        case full
        /// Call again at once, with this.
        case next(String)
    }

    package var messages: [ClaimedMessage] = []
    package var round = Round.done
    /// A lane may start more here only after one of its own has ended: claim again after a settle.
    package var capped = false
    package var expired = false
}

/// Used by one loop. State: the number of the next claim, and whether it was sent before.
package final class Claimer: Sendable {
    private struct State {
        var number: Int64 = 1
        var resent = false
    }

    /// A gated lane with one message each costs Redis some 70 us: a call stays within a few milliseconds.
    static let mostMessages = 64
    static let mostBytes = 4 << 20
    static let quantum = 16
    static let mostLanes = 256

    private let scripts: ScriptCaller
    private let node: String
    private let settings: EngineSettings
    private let held: HeldMessages
    private let state = Mutex(State())

    package init(scripts: ScriptCaller, node: String, settings: EngineSettings, held: HeldMessages) {
        (self.scripts, self.node, self.settings, self.held) = (scripts, node, settings, held)
    }

    /// One claim, answered. Throws what `RedisError` says where it was not; the next call sends it again.
    ///
    /// - `follows`: a call that left it to this claim to wake who sleeps (`NextClaim`).
    package func claim(round: String, follows: Bool = false) async throws(RedisError) -> Claim {
        let (number, resent) = state.withLock { ($0.number, $0.resent) }
        let room = room
        guard room > 0 || resent else { return Claim(round: .full) }
        let reply: [RedisValue]
        do {
            reply = try await scripts.once(
                Scripts.claim,
                [
                    .text(node), .integer(number), .text(resent ? "resent" : follows ? "follows" : ""),
                    .integer(Int64(settings.maxInFlight)), .text(String(settings.laneShare)),
                    .integer(Int64(Self.mostMessages)), .integer(Int64(min(max(room, 1), Self.mostBytes))),
                    .integer(Int64(Self.quantum)), .integer(Int64(Self.mostLanes)), .text(round),
                ])
        } catch {
            // A script that failed halfway has taken messages, too.
            if case .notSent = error {} else { state.withLock { $0.resent = true } }
            throw error
        }
        switch reply.first?.string {
        case "ok": break
        case "expired": return Claim(expired: true)
        default: throw .notSent("the node's clock lies behind Redis's")
        }
        let claim = read(reply)
        held.add(claim.messages, ofClaim: number)
        state.withLock { $0 = State(number: number + 1, resent: false) }
        return claim
    }

    /// Bytes that may still be claimed; 0 or less where what is in flight is all that may be.
    var room: Int { settings.maxInFlightBytes - held.bytes }

    /// True while a claim was sent whose reply was never read: what it took is found by a full renewal.
    package var hasUnanswered: Bool { state.withLock { $0.resent } }

    private func read(_ reply: [RedisValue]) -> Claim {
        var claim = Claim()
        guard reply.count >= 3 else { return claim }
        switch reply[1].string ?? "" {
        case "": claim.round = .done
        case "full": claim.round = .full
        case "new": claim.round = .next("")
        case let round: claim.round = .next(round)
        }
        claim.capped = reply[2].int64 == 1
        claim.messages = Self.messages(in: reply)
        return claim
    }

    /// A body that was not claimed with its message; nil where it is gone, as it is when the message is no longer ours.
    func body(_ apart: BodyApart) async throws(RedisError) -> [UInt8]? {
        try await scripts.redis.send(RedisCommand("HGET", "\(scripts.root):body:\(apart.hash)", "text")).bytes
    }

    /// Of the answer of `claim.lua`.
    package static func messages(in reply: [RedisValue]) -> [ClaimedMessage] {
        var messages: [ClaimedMessage] = []
        messages.reserveCapacity(max(0, reply.count - 3))
        for value in reply.dropFirst(3) {
            guard let f = value.array, f.count == 7 || f.count == 9, let id = f[0].string, let place = f[1].string
            else { continue }
            var apart: BodyApart?
            if f.count == 9, let hash = f[7].string {
                apart = BodyApart(hash: hash, length: Int(clamping: max(0, f[8].int64 ?? 0)))
            }
            messages.append(
                ClaimedMessage(
                    id: id, place: place, retried: Int(f[2].int64 ?? 0), reclaimed: Int(f[3].int64 ?? 0),
                    request: f[4].bytes ?? [], body: f[5].bytes ?? [], due: f[6].int64 ?? 0,
                    bodyApart: apart))
        }
        return messages
    }
}
