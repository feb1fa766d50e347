/// Which messages a node may be given. Which of several lanes comes first is free; within a lane nothing is.

struct ClaimLimits: Equatable {
    var capacity = 1000
    var share = 1.0
    var most = 128
    var quantum = 16
    var lanes = 256
    var bytes = 4_000_000

    /// As the scripts take them.
    var words: [String] { ["\(capacity)", "\(share)", "\(most)", "\(bytes)", "\(quantum)", "\(lanes)"] }
}

/// What a claim answered, and what was seen of the store behind it.
struct ClaimAnswer {
    var round = ""
    var isCapped = false
    var messages: [ClaimedMessage] = []
    /// Places of the messages that live, behind the claim.
    var places: [String: String] = [:]
    /// What waits in each stream, in its order, behind the claim.
    var waiting: [String: [String]] = [:]
}

struct ClaimedMessage {
    var id: String
    var place: String
    var fields: [String]
}

extension QueueModel {
    func inFlight(on node: String) -> [Message] { messages.values.filter { $0.hold?.node == node } }

    func isExpired(_ node: String, _ now: Int64) -> Bool { nodes[node].map { $0 < now } ?? true }

    /// What a claim of that number took before, as a resent one must answer it.
    func taken(by node: String, claim: Int) -> [String] {
        inFlight(on: node).filter { $0.hold?.claim == claim }
            .sorted { Self.entryNumber($0) < Self.entryNumber($1) }.compactMap { $0.hold?.place }
    }

    static func entryNumber(_ message: Message) -> Int {
        Int(message.hold?.place.split(separator: " ")[1].prefix { $0 != "-" } ?? "") ?? 0
    }

    /// Follows what the claim did; answers what it must not have done.
    mutating func claim(
        _ node: String, number: Int, _ limits: ClaimLimits, _ answer: ClaimAnswer, _ now: Int64
    ) -> String? {
        var flight = inFlight(on: node).count
        var started: [String: [String]] = [:]
        var share: [String: Int] = [:]
        for message in inFlight(on: node) { share[Self.lane(ofHold: message), default: 0] += 1 }
        for claimed in answer.messages {
            guard let message = messages[claimed.id] else { return "claimed \(claimed.id), which does not live" }
            guard message.state == .waiting else { return "claimed \(claimed.id), which is \(message.state)" }
            let lane = Self.lane(ofPlace: claimed.place)
            if flight >= limits.capacity { return "claimed \(claimed.id) beyond the node's capacity" }
            if Double(share[lane, default: 0]) >= limits.share * Double(limits.capacity - flight) {
                return "claimed \(claimed.id) beyond the share of \(lane)"
            }
            let wanted = [
                "\(message.retried)", "\(message.reclaimed)", message.request, message.body, "\(message.due)",
            ]
            if claimed.fields != wanted { return "claimed \(claimed.id) as \(claimed.fields), not \(wanted)" }
            share[lane, default: 0] += 1
            flight += 1
            started[lane, default: []].append(claimed.id)
        }
        let moves = self.moves(answer, started)
        moved.away += moves.away.count
        moved.back += moves.back.count
        let bytes = answer.messages.dropLast().reduce(0) { $0 + $1.fields[2].utf8.count + $1.fields[3].utf8.count }
        if bytes >= limits.bytes { return "claimed more than \(limits.bytes) bytes" }
        if answer.messages.count + moves.away.count + moves.back.count > limits.most {
            return "claimed more than \(limits.most)"
        }
        for lane in lanes.keys.sorted(by: >) where lane.hasPrefix("queue:") {
            if let problem = consume(lane, started[lane] ?? [], moves, now) { return problem }
        }
        for id in moves.away { if let flow = messages[id]?.flow { append(id, to: .fresh("flow:\(flow)")) } }
        for lane in lanes.keys.sorted() where !lane.hasPrefix("queue:") {
            if let problem = consume(lane, started[lane] ?? [], moves, now) { return problem }
        }
        for id in moves.back { if let queue = messages[id]?.queue { append(id, to: .again("queue:\(queue)")) } }
        for claimed in answer.messages {
            guard let message = messages[claimed.id] else { continue }
            if !claimed.place.hasPrefix("roost:{0}:\(message.place.text) ") || !claimed.place.hasSuffix(" \(number)") {
                return "\(claimed.id) was claimed at \(claimed.place) by \(number), it waited at \(message.place.text)"
            }
            messages[claimed.id]?.state = .active
            messages[claimed.id]?.hold = (node, number, claimed.place)
            note(claimed.id, "ACTIVE")
        }
        if (answer.round == "full") != (flight >= limits.capacity) {
            return "round \(answer.round) with \(flight) in flight"
        }
        return nil
    }

    static func lane(ofPlace place: String) -> String {
        let stream = place.dropFirst("roost:{0}:".count).prefix { $0 != " " }
        return String(stream.drop { $0 != ":" }.dropFirst())
    }
    static func lane(ofHold message: Message) -> String { lane(ofPlace: message.hold?.place ?? "") }

    private struct Moves {
        /// From a queue behind the flow key, in the order they joined.
        var away: [String] = []
        /// From the flow key back before a queue that is shut.
        var back: [String] = []
    }

    private func moves(_ answer: ClaimAnswer, _ started: [String: [String]]) -> Moves {
        var moves = Moves()
        for message in messages.values.sorted(by: { $0.id < $1.id }) {
            guard let queue = message.queue, let flow = message.flow, message.state == .waiting else { continue }
            let isBehindKey = message.place == .fresh("flow:\(flow)") || message.place == .again("flow:\(flow)")
            let seen = answer.places[message.id]
            if !isBehindKey, message.place != .due, seen == "lane:flow:\(flow)" { moves.away.append(message.id) }
            if isBehindKey, seen == "again:queue:\(queue)" { moves.back.append(message.id) }
        }
        func rank(_ id: String) -> Int {
            guard let message = messages[id], let flow = message.flow, let queue = message.queue else { return 0 }
            if let index = started["flow:\(flow)"]?.firstIndex(of: id) { return index - 1_000_000 }
            return answer.waiting["lane:flow:\(flow)"]?.firstIndex(of: id)
                ?? answer.waiting["again:queue:\(queue)"]?.firstIndex(of: id) ?? 0
        }
        moves.away.sort { rank($0) < rank($1) }
        moves.back.sort { rank($0) < rank($1) }
        return moves
    }

    /// Takes out of a lane's head what was started or moved, in order, each as the gate allows it.
    private mutating func consume(_ lane: String, _ started: [String], _ moves: Moves, _ now: Int64) -> String? {
        var waiting = lanes[lane] ?? Waiting()
        var left = started[...]
        let isQueue = lane.hasPrefix("queue:")
        let gone = Set(started).union(isQueue ? moves.away : moves.back)
        while let id = waiting.again.first ?? waiting.fresh.first, gone.contains(id), let message = messages[id] {
            let isFresh = waiting.again.isEmpty
            if isFresh { waiting.fresh.removeFirst() } else { waiting.again.removeFirst() }
            let isMoved = left.first != id
            if Self.isGated(lane) {
                if let problem = pass(message, lane, isFresh: isFresh, isMoved: isMoved, now) { return problem }
            }
            if !isMoved { left.removeFirst() } else if started.contains(id) { return "\(id) overtook in \(lane)" }
        }
        lanes[lane] = waiting
        let stuck = Set(waiting.again + waiting.fresh).intersection(gone)
        if let id = stuck.min() {
            return "\(id) was taken before \(waiting.again.first ?? waiting.fresh.first ?? "") of \(lane)"
        }
        if let id = left.first { return "\(id) was started from \(lane), where it did not wait" }
        return nil
    }

    private mutating func pass(
        _ message: Message, _ lane: String, isFresh: Bool, isMoved: Bool, _ now: Int64
    ) -> String? {
        let id = message.id, isQueue = lane.hasPrefix("queue:")
        var gate = gates[lane] ?? Gate()
        if gate.isShut { return "\(id) left \(lane), which is shut" }
        if !gate.rateAllows(now) { return "\(id) left \(lane) beyond its rate" }
        if isFresh, let limit = parallelism(of: lane), held[lane, default: []].count >= limit {
            return "\(id) left \(lane) beyond its parallelism of \(limit)"
        }
        if isFresh, isQueue, message.due > now { return "\(id) left \(lane) before its time" }
        if isQueue {
            if isMoved != (message.flow != nil) { return "\(id) was not sent behind its key" }
            held[lane, default: []].insert(id)
            return nil
        }
        let isShut = message.queue.map { gates["queue:\($0)"]?.isShut == true } ?? false
        if isShut != isMoved {
            return isShut ? "\(id) was started while its queue is shut" : "\(id) went back though its queue is open"
        }
        if isMoved {
            held[lane]?.remove(id)
        } else {
            held[lane, default: []].insert(id)
            gate.countStart(now)
            gates[lane] = gate
        }
        return nil
    }

    /// The heads of the lanes whose gates are open, by lane.
    func runnable(_ now: Int64) -> [(lane: String, id: String)] {
        lanes.sorted { $0.key < $1.key }.compactMap { lane, waiting in
            guard let head = waiting.again.first ?? waiting.fresh.first else { return nil }
            guard Self.isGated(lane) else { return (lane, head) }
            return opensAt(lane, now).map { $0 <= now } == true ? (lane, head) : nil
        }
    }
}
