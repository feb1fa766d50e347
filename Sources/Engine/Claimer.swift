/// Takes messages for this node by numbered claims, each sent again under its number until answered.

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

/// What its loop claims goes one by one; beside that, publishes carry claims of their own (`carry`).
package final class Claimer: Sendable {
    /// A gated lane with one message each costs Redis some 70 us: a call stays within a few milliseconds.
    static let mostMessages = 64
    static let mostBytes = 4 << 20
    static let quantum = 16
    static let mostLanes = 256

    private let scripts: ScriptCaller
    private let node: String
    private let settings: EngineSettings
    private let held: HeldMessages
    /// Claims that were sent and whose replies were not read, to be sent again, the first one first.
    private let unanswered = Mutex<[BegunClaim]>([])

    package init(scripts: ScriptCaller, node: String, settings: EngineSettings, held: HeldMessages) {
        (self.scripts, self.node, self.settings, self.held) = (scripts, node, settings, held)
    }

    /// One claim, answered. Throws what `RedisError` says where it was not; the next call sends again what may have been applied.
    ///
    /// - `follows`: a call that left it to this claim to wake who sleeps (`NextClaim`).
    package func claim(round: String, follows: Bool = false) async throws(RedisError) -> Claim {
        let lost = unanswered.withLock { $0.first }
        guard let begun = lost ?? begin() else { return Claim(round: .full) }
        let how = lost != nil ? "resent" : follows ? "follows" : ""
        // One that goes again may have taken something when it went before.
        func forget() { if lost == nil { held.abandonClaim(begun.number) } }
        let reply: [RedisValue]
        do {
            reply = try await scripts.once(
                Scripts.claim,
                [.text(node), .integer(begun.number), .text(how)] + limits(begun) + [.text(round)])
        } catch {
            // A script that failed halfway has taken messages, too.
            if case .notSent = error { forget() } else { lose(begun) }
            throw error
        }
        switch reply.first?.string {
        case "ok":
            unanswered.withLock { $0.removeAll { $0.number == begun.number } }
            let claim = read(reply)
            held.add(claim.messages, ofClaim: begun.number)
            return claim
        case "expired":
            forget()
            return Claim(expired: true)
        default:
            forget()
            throw .notSent("the node's clock lies behind Redis's")
        }
    }

    private func begin() -> BegunClaim? { held.beginClaim(limit: settings.maxInFlightBytes, most: Self.mostBytes) }

    private func lose(_ claim: BegunClaim) {
        unanswered.withLock { all in
            if !all.contains(where: { $0.number == claim.number }) { all.append(claim) }
        }
    }

    /// A claim for a call that is about to be sent; nil where there is no room for what it may bring. Its reply, or that there is
    /// none, must be told (`read`).
    func carry(for taker: any ClaimTaker) -> CarriedClaim? {
        begin().map {
            CarriedClaim(begun: $0, arguments: [.text(node), .integer($0.number)] + limits($0), taker: taker)
        }
    }

    /// What a carried claim brought; nil where it has to be sent again, by the next `claim`.
    ///
    /// - Parameters:
    ///   - reply: what `publish.lua` answered behind its items, nil where nothing is known.
    ///   - sent: see `messages`.
    func read(
        _ reply: RedisValue?, of carried: CarriedClaim, sent: (_ id: String, _ place: String) -> ClaimedMessage?
    ) -> Claim? {
        if case .error(let text)? = reply { scripts.logger.error("the claim of a publish failed: \(text)") }
        guard let reply = reply?.array, let first = reply.first?.string, first == "ok" || first == "expired" else {
            lose(carried.begun)
            return nil
        }
        guard first == "ok" else {
            held.abandonClaim(carried.begun.number)
            return Claim(expired: true)
        }
        let claim = read(reply, sent)
        held.add(claim.messages, ofClaim: carried.begun.number)
        return claim
    }

    /// From the capacity to the lanes to look at, as `claim.lua` has them.
    private func limits(_ claim: BegunClaim) -> [RedisPart] {
        [
            .integer(Int64(settings.maxInFlight)), .text(String(settings.laneShare)),
            .integer(Int64(Self.mostMessages)), .integer(Int64(claim.bytes)), .integer(Int64(Self.quantum)),
            .integer(Int64(Self.mostLanes)),
        ]
    }

    /// Whether anything may be claimed, by what is in flight here.
    var hasRoom: Bool { held.hasRoom(limit: settings.maxInFlightBytes) }

    /// Whether the next claim is one that goes again.
    var hasUnanswered: Bool { unanswered.withLock { !$0.isEmpty } }

    private func read(
        _ reply: [RedisValue], _ sent: (_ id: String, _ place: String) -> ClaimedMessage? = { _, _ in nil }
    ) -> Claim {
        var claim = Claim()
        guard reply.count >= 3 else { return claim }
        switch reply[1].string ?? "" {
        case "": claim.round = .done
        case "full": claim.round = .full
        case "new": claim.round = .next("")
        case let round: claim.round = .next(round)
        }
        claim.capped = reply[2].int64 == 1
        claim.messages = Self.messages(in: reply, sent)
        return claim
    }

    /// A body that was not claimed with its message; nil where it is gone, as it is when the message is no longer ours.
    func body(_ apart: BodyApart, _ answer: @escaping @Sendable (Result<[UInt8]?, RedisError>) -> Void) {
        scripts.redis.send(RedisCommand("HGET", "\(scripts.root):body:\(apart.hash)", "text")) { reply in
            answer(reply.map(\.bytes))
        }
    }

    /// What a claim brought.
    ///
    /// - Parameters:
    ///   - reply: of `claim.lua`.
    ///   - sent: a message of which only the id and the place are answered, because this process has just sent it.
    package static func messages(
        in reply: [RedisValue], _ sent: (_ id: String, _ place: String) -> ClaimedMessage? = { _, _ in nil }
    ) -> [ClaimedMessage] {
        var messages: [ClaimedMessage] = []
        messages.reserveCapacity(max(0, reply.count - 3))
        for value in reply.dropFirst(3) {
            guard let f = value.array, f.count >= 2, let id = f[0].string, let place = f[1].string else { continue }
            guard f.count >= 7 else {
                if let message = sent(id, place) { messages.append(message) }
                continue
            }
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

/// A claim with its number, and how many bytes it may bring.
package struct BegunClaim: Sendable {
    package var number: Int64
    package var bytes: Int
}
