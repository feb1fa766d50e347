/// How attempts end, and what becomes of what a node held.

/// One attempt as `settle` is told about it.
struct SettledAttempt {
    enum Step: Equatable {
        /// The bytes it counts for while it stays readable.
        case delivered(size: Int)
        case retry(at: Int64)
        case dead(String)

        var word: String {
            switch self {
            case .delivered: "delivered"
            case .retry: "retry"
            case .dead: "dead"
            }
        }
        var value: String {
            switch self {
            case .delivered(let size): "\(size)"
            case .retry(let at): "\(at)"
            case .dead(let id): id
            }
        }
    }

    var id: String
    var place: String
    var step: Step
    var callbacks: [Parcel] = []

    var isDelivered: Bool { if case .delivered = step { true } else { false } }
}

/// How long and how much of what was delivered stays readable.
struct Keeping: Equatable {
    var milliseconds: Int64 = 60_000
    var bytes = 1_000_000
}

extension QueueModel {
    /// The results in their order, as `settle` must answer them.
    mutating func settle(_ node: String, _ attempts: [SettledAttempt], _ keeping: Keeping, _ now: Int64) -> [String] {
        let results = attempts.map { settle(node, $0, now) }
        shedFinished(attempts.count, keeping, now)
        return results
    }

    private mutating func settle(_ node: String, _ attempt: SettledAttempt, _ now: Int64) -> String {
        let id = attempt.id
        guard var message = messages[id], let hold = message.hold, hold.node == node, hold.place == attempt.place
        else { return "stale" }
        let isCancelled = message.state == .cancelling
        message.hold = nil
        messages[id] = message
        if !attempt.isDelivered { note(id, "ERROR") }
        if isCancelled, !attempt.isDelivered {
            forget(id, now)
            return "canceled"
        }
        switch attempt.step {
        case .delivered(let size):
            end(message, "DELIVERED", "SUCCESS")
            finished[id] = Ended(time: now, size: size)
        case .retry(let at):
            messages[id]?.retried += 1
            messages[id]?.reclaimed = 0
            messages[id]?.due = at
            if at > now { append(id, to: .due) } else { enter(id) }
            note(id, "RETRY")
            if let flow = message.flow { freeFlow(id, flow) }
        case .dead(let dlqId):
            end(message, "FAILED", "FAIL")
            dead[dlqId] = DeadLetter(message: message)
            ended[id] = now
        }
        for callback in attempt.callbacks {
            create(callback, source: message.queue.map { (id, $0) }, now: now)
            if message.queue != nil { waits[id, default: []].insert(callback.message.id) }
        }
        if messages[id] == nil { leave(message) }
        return attempt.step.word
    }

    private mutating func end(_ message: Message, _ event: String, _ result: String) {
        messages[message.id] = nil
        note(message.id, event)
        noteEnd(message, result)
    }

    private var oldestFinished: (key: String, value: Ended)? {
        finished.min { ($0.value.time, $0.key) < ($1.value.time, $1.key) }
    }

    private mutating func shedFinished(_ attempts: Int, _ keeping: Keeping, _ now: Int64) {
        // What this call delivered counts when the next one looks, as the script writes it before.
        for _ in 0..<(2 * attempts + 10) {
            guard let oldest = oldestFinished else { break }
            let total = finished.values.reduce(0) { $0 + $1.size }
            if oldest.value.time > now - keeping.milliseconds, total <= keeping.bytes { break }
            finished[oldest.key] = nil
            ended[oldest.key] = oldest.value.time
        }
        shedEnded(before: now - Self.endedFor)
    }

    mutating func renew(_ node: String, until: Int64, lastRead: Int?, known: Set<String>, _ now: Int64) -> Int {
        nodes[node] = until
        guard let lastRead else { return 0 }
        let lost = inFlight(on: node).filter { !known.contains($0.id) && ($0.hold?.claim ?? 0) <= lastRead }
        return giveBack(lost, most: .max, reclaimed: false, now)
    }

    mutating func handBack(_ node: String, most: Int, _ now: Int64) -> (given: Int, left: Int) {
        let given = giveBack(inFlight(on: node), most: most, reclaimed: false, now)
        let left = inFlight(on: node).count
        if left == 0 { nodes[node] = nil }
        return (given, left)
    }

    /// - Parameter asked: the caller's own now, which leases are compared with.
    mutating func reclaim(by asker: String, most: Int, asked: Int64, _ now: Int64) -> Int {
        var count = 0
        let gone = nodes.filter { $0.value < asked }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.prefix(10)
        for (node, _) in gone where node != asker && count < most {
            count += giveBack(inFlight(on: node), most: most - count, reclaimed: true, now)
            if inFlight(on: node).isEmpty { nodes[node] = nil }
        }
        return count
    }

    /// In front of their lanes, in the order they had; those whose cancel was asked for end.
    private mutating func giveBack(_ messages: [Message], most: Int, reclaimed: Bool, _ now: Int64) -> Int {
        let first = messages.sorted { Self.entryNumber($0) < Self.entryNumber($1) }.prefix(most)
        for message in first {
            self.messages[message.id]?.hold = nil
            if message.state == .cancelling {
                forget(message.id, now)
                continue
            }
            append(message.id, to: .again(Self.lane(ofHold: message)))
            if reclaimed { self.messages[message.id]?.reclaimed += 1 }
        }
        return first.count
    }
}
