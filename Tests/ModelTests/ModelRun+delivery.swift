/// What nodes do.

import Engine
import RedisLink

extension ModelRun {
    func renew(_ node: Int, isFull: Bool) throws {
        let until = now - behind + Self.lease
        let known = nodes[node].known.map(\.id)
        let words = isFull ? ["\(nodes[node].lastRead)"] + known : ["extend"]
        guard let answer = try send(Scripts.renew, [nodes[node].name, "\(until)"] + words) else { return }
        let given = model.renew(
            nodes[node].name, until: until, lastRead: isFull ? nodes[node].lastRead : nil, known: Set(known), answer.now
        )
        store.note("renew gives back", given)
        try expect("renew", answer.reply.prefix(1) + answer.reply.dropFirst(3), ["ok", "\(given)"])
    }

    /// nil where the node was refused.
    @discardableResult
    func claim(
        _ node: Int, _ limits: ClaimLimits, isLost: Bool = false, round: String = ""
    ) throws -> ClaimAnswer? {
        sleeps = false
        let name = nodes[node].name, lost = nodes[node].unanswered.first
        let number = lost ?? nodes[node].claim
        let arguments = [name, "\(number)", lost == nil ? "" : "resent"] + limits.words + [round]
        guard let answer = try send(Scripts.claim, arguments) else { return nil }
        if model.isExpired(name, answer.now) {
            try expect("claim", answer.reply, ["expired"])
            return nil
        }
        return try follow(answer.values, of: node, number, limits, isLost: isLost, answer.now)
    }

    /// The claim that a publish carried.
    func followCarried(_ reply: RedisValue?, of carried: Carried, storing items: [PublishedItem], _ now: Int64) throws {
        if model.isExpired(nodes[carried.node].name, now) {
            return try expect("carried claim", [reply?.word ?? ""], ["[expired]"])
        }
        var values = reply?.array ?? []
        // Of what it stores itself it tells only where it is.
        let sent = Dictionary(items.flatMap(\.parcels).map { ($0.message.id, $0.message) }) { first, _ in first }
        for index in values.indices.dropFirst(3) {
            guard let short = values[index].array, short.count == 2, let message = sent[short[0].word] else { continue }
            let rest = ["0", "0", message.request, message.body, "\(message.due)"]
            values[index] = .array(short + rest.map { .bulk(Array($0.utf8)) })
            store.note("claimed at once")
        }
        try follow(
            values, of: carried.node, nodes[carried.node].claim, carried.limits, isLost: carried.isLost, now)
    }

    @discardableResult
    private func follow(
        _ values: [RedisValue], of node: Int, _ number: Int, _ limits: ClaimLimits, isLost: Bool, _ now: Int64
    ) throws -> ClaimAnswer {
        let name = nodes[node].name, isResent = nodes[node].unanswered.contains(number)
        guard values.count >= 3, values[0].word == "ok" else { throw Difference("claim: \(values.map(\.word))") }
        var claim = ClaimAnswer()
        claim.round = values[1].word
        claim.isCapped = values[2].word == "1"
        claim.messages = values.dropFirst(3).map { value in
            let fields = (value.array ?? []).map(\.word)
            guard fields.count == 7 else { return ClaimedMessage(id: "", place: "", fields: fields) }
            return ClaimedMessage(id: fields[0], place: fields[1], fields: Array(fields[2...]))
        }
        let before = isResent ? model.taken(by: name, claim: number) : []
        if !before.isEmpty {
            store.note("resent claim finds", before.count)
            try expect("resent claim", claim.messages.map(\.place), before)
        } else {
            if model.messages.values.contains(where: { $0.queue != nil && $0.flow != nil && $0.state == .waiting }) {
                try look(&claim)
            }
            if let problem = model.claim(name, number: number, limits, claim, now) { throw Difference(problem) }
            store.note("claimed", claim.messages.count)
        }
        nodes[node].claim = max(nodes[node].claim, number + 1)
        if isLost {
            if !isResent { nodes[node].unanswered.append(number) }
            return claim
        }
        for message in claim.messages {
            nodes[node].known.removeAll { $0.id == message.id }
            nodes[node].known.append((message.id, message.place))
        }
        nodes[node].unanswered.removeAll { $0 == number }
        return claim
    }

    private func look(_ claim: inout ClaimAnswer) throws {
        for line in try store.observe() {
            let words = line.split(separator: " ").map(String.init)
            if words[0] == "message" { claim.places[words[1]] = words[3] }
            if words[0] == "waiting" { claim.waiting[words[1]] = Array(words[2...]) }
        }
    }

    func promote(_ most: Int) throws -> Int {
        guard let answer = try send(Scripts.promote, ["\(most)"]) else { return 0 }
        let moved = model.promote(most, answer.now)
        guard answer.reply.count == 3, answer.reply[0] == "ok", let all = Int(answer.reply[1]), all >= moved else {
            throw Difference("promote: \(answer.reply), and \(moved) were due")
        }
        // What the limit left may be earlier; a clock behind another's sees as ahead what has opened already.
        if all < most, knowsTimes, answer.now >= model.latestNow {
            try expect("promote", [answer.reply[2]], [model.nextTime(answer.now).map { "\($0)" } ?? ""])
        }
        return all
    }

    /// As a node goes around the ring before it sleeps.
    func drain(_ node: Int, _ limits: ClaimLimits) throws {
        try renew(node, isFull: false)
        for _ in 0..<100 where try promote(200) == 0 { break }
        var round = "", isCapped = false
        for _ in 0..<300 {
            guard let answer = try claim(node, limits, round: round), answer.round != "full" else { return }
            isCapped = isCapped || answer.isCapped
            if answer.round == "" { return try sleep(node, limits, isCapped) }
            round = answer.round == "new" ? "" : answer.round
        }
        throw Difference("claims never see the ring's end")
    }

    private func sleep(_ node: Int, _ limits: ClaimLimits, _ isCapped: Bool) throws {
        let flight = model.inFlight(on: nodes[node].name)
        let threshold = limits.share * Double(limits.capacity - flight.count)
        for (lane, id) in model.runnable(max(now - behind, model.lastClock)) {
            let share = flight.count { QueueModel.lane(ofHold: $0) == lane }
            if Double(share) < threshold { throw Difference("\(id) may run, and no claim takes it") }
            if !isCapped { throw Difference("\(id) waits for the node's own, and the node does not know") }
        }
        sleeps = !isCapped
    }

    /// The node, or the next that has something in flight: which one it is matters little, that it has does.
    private func busy(_ node: Int) -> Int {
        nodes.indices.map { (node + $0) % nodes.count }.first { !nodes[$0].known.isEmpty } ?? node
    }

    func settle(_ node: Int, _ attempts: [Attempt], _ keeping: Keeping) throws {
        let node = busy(node)
        guard !nodes[node].known.isEmpty else { return }
        var settled: [SettledAttempt] = []
        for (index, attempt) in attempts.enumerated() {
            let held = nodes[node].known[attempt.pick % nodes[node].known.count]
            if settled.contains(where: { $0.id == held.id }) { continue }
            settled.append(self.attempt(attempt, held, index))
        }
        try settle(nodes[node].name, settled, keeping)
        for attempt in settled {
            nodes[node].known.removeAll { $0.place == attempt.place }
            nodes[node].past.append((attempt.id, attempt.place))
        }
    }

    func settleForeign(_ node: Int, _ pick: Int) throws {
        let others = nodes.indices.flatMap { $0 == node ? nodes[$0].past : nodes[$0].past + nodes[$0].known }
        let known = nodes.indices.filter { $0 != node }.flatMap { nodes[$0].known }
        let all = others + known
        guard !all.isEmpty else { return }
        let held = all[pick % all.count]
        if nodes[node].known.contains(where: { $0.place == held.place }) { return }
        try settle(
            nodes[node].name, [attempt(Attempt(pick: 0, step: .delivered, callbacks: [.host(9)]), held, 0)], Keeping())
    }

    private func attempt(_ attempt: Attempt, _ held: (id: String, place: String), _ index: Int) -> SettledAttempt {
        let entry = held.place.split(separator: " ")[1].prefix { $0 != "-" }
        let step: SettledAttempt.Step =
            switch attempt.step {
            case .delivered: .delivered(size: 100 + 10 * index)
            case .retry(let after): .retry(at: now + after)
            case .dead: .dead("\(now)-\(entry)")
            }
        let callbacks = attempt.callbacks.enumerated().map { number, kind in
            Parcel(
                id: "cb_\(1000 + serial)_\(index)\(number)", kind: kind, limits: FlowLimits(parallelism: 1),
                due: now, body: "answer")
        }
        return SettledAttempt(id: held.id, place: held.place, step: step, callbacks: callbacks)
    }

    private func settle(_ node: String, _ attempts: [SettledAttempt], _ keeping: Keeping) throws {
        var arguments = [
            node, "\(keeping.milliseconds)", "\(keeping.bytes)", "\(QueueModel.endedFor)", "\(attempts.count)",
        ]
        for (index, attempt) in attempts.enumerated() {
            let isDelivered = attempt.isDelivered
            if isDelivered, attempt.callbacks.isEmpty, index % 2 == 0 {
                arguments += [attempt.id, attempt.place, "plain", attempt.step.value]
                continue
            }
            arguments += [
                attempt.id, attempt.place, attempt.step.word, isDelivered ? "decided" : "canceled", attempt.step.value,
                isDelivered ? "200" : "500", "{}", "", isDelivered ? "" : "boom",
                isDelivered ? "" : #"{"error":"boom","status":500}"#, "100", "\(attempt.callbacks.count)",
            ]
            for callback in attempt.callbacks {
                let message = callback.message
                arguments += [
                    message.id, message.lane, "\(message.due)", message.request, callback.gate, message.body, "100",
                ]
            }
        }
        guard let answer = try send(Scripts.settle, arguments) else { return }
        try expect("settle", answer.reply, ["ok"] + model.settle(node, attempts, keeping, answer.now))
        for result in answer.reply.dropFirst() { store.note("settled \(result)") }
        remember(Scripts.settle, arguments, .settle(node: node, attempts, keeping))
    }

    func reclaim(_ node: Int, _ most: Int) throws {
        let asked = now - behind
        guard let answer = try send(Scripts.reclaim, [nodes[node].name, "\(most)"]) else { return }
        let count = model.reclaim(by: nodes[node].name, most: most, asked: asked, answer.now)
        store.note("reclaimed", count)
        try expect("reclaim", answer.reply, ["ok", "\(count)", count >= most ? "1" : "0"])
    }

    func handBack(_ node: Int, _ most: Int) throws {
        let node = busy(node)
        guard let answer = try send(Scripts.handBack, [nodes[node].name, "\(most)"]) else { return }
        let (given, left) = model.handBack(nodes[node].name, most: most, answer.now)
        store.note("handed back", given)
        try expect("hand back", answer.reply, ["ok", "\(given)", "\(left)"])
        if left == 0 { crash(node) }
    }

    func crash(_ node: Int) {
        let old = nodes[node]
        nodes[node] = Node(name: newName())
        nodes[node].past = old.past + old.known
    }
}
