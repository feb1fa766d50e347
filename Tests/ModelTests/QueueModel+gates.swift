/// Queues and flow keys: what lets a lane's messages through.

extension QueueModel {
    struct Gate {
        var isPaused = false
        var parallelism: Int?
        var rate: Int?
        var period: Int?
        var pinsParallelism = false
        var pinsRate = false
        var windowStart: Int64?
        var windowCount = 0
        var isDeleted = false
        var used: Int64 = 0

        var isShut: Bool { isPaused || isDeleted }

        /// Starts in the window of now, and its end; nil where none has begun.
        func window(_ now: Int64) -> (count: Int, end: Int64)? {
            guard let windowStart else { return nil }
            let end = windowStart + Int64(period ?? 1) * 1000
            return now >= end || windowStart - now >= 1000 ? nil : (windowCount, end)
        }

        func rateAllows(_ now: Int64) -> Bool {
            guard let rate, rate > 0 else { return true }
            return (window(now)?.count ?? 0) < rate
        }

        mutating func countStart(_ now: Int64) {
            if window(now) == nil { (windowStart, windowCount) = (now, 1) } else { windowCount += 1 }
        }
    }

    static func isGated(_ lane: String) -> Bool { lane.hasPrefix("queue:") || lane.hasPrefix("flow:") }

    /// nil: no limit.
    func parallelism(of lane: String) -> Int? {
        let limit = gates[lane]?.parallelism ?? (lane.hasPrefix("queue:") ? 1 : 0)
        return limit == 0 ? nil : limit
    }

    /// When something in a gated lane may run, not later than now for at once; nil: not by time alone.
    func opensAt(_ lane: String, _ now: Int64) -> Int64? {
        let gate = gates[lane] ?? Gate(), waiting = lanes[lane] ?? Waiting()
        if gate.isShut { return nil }
        var ready: Int64?
        if !waiting.again.isEmpty {
            ready = now
        } else if let head = waiting.fresh.first {
            let isFree = parallelism(of: lane).map { held[lane, default: []].count < $0 } ?? true
            if isFree { ready = lane.hasPrefix("queue:") ? messages[head]?.due : now }
        }
        if let time = ready, !gate.rateAllows(now), let window = gate.window(now) { ready = max(time, window.end) }
        return ready
    }

    /// The earliest time anything waits for, if it lies ahead of now.
    func nextTime(_ now: Int64) -> Int64? {
        let opening = lanes.keys.filter(Self.isGated).compactMap { opensAt($0, now) }.filter { $0 > now }.min()
        return [due.first?.due, opening].compactMap { $0 }.min()
    }

    mutating func makeQueue(_ queue: String) {
        queues.insert(queue)
        if gates["queue:\(queue)"] == nil { gates["queue:\(queue)"] = Gate() }
    }

    /// The newest message's limits are the key's, unless they are pinned.
    mutating func setFlow(_ flow: String, _ limits: FlowLimits, _ now: Int64) {
        var gate = gates["flow:\(flow)"] ?? Gate()
        if flows.insert(flow).inserted || now - gate.used >= 60_000 { gate.used = now }
        if !gate.pinsParallelism, limits.parallelism != gate.parallelism ?? 0 {
            gate.parallelism = limits.parallelism == 0 ? nil : limits.parallelism
        }
        if !gate.pinsRate, limits.rate != gate.rate ?? 0 || limits.period != gate.period {
            (gate.rate, gate.period) = (limits.rate == 0 ? nil : limits.rate, limits.period)
        }
        gates["flow:\(flow)"] = gate
    }

    mutating func change(_ lane: String, _ change: GateChange, _ now: Int64) -> String {
        let isQueue = lane.hasPrefix("queue:")
        let short = String(lane.drop { $0 != ":" }.dropFirst())
        let isKnown = isQueue ? queues.contains(short) : flows.contains(short)
        switch change {
        case .put: makeQueue(short)
        case .pause, .pin: if !isKnown, isQueue { return "missing" }
        case .resume, .unpin, .resetRate, .reset: if !isKnown { return "missing" }
        }
        var gate = gates[lane] ?? Gate()
        switch change {
        case .put(let parallelism, let paused):
            if let parallelism { gate.parallelism = parallelism }
            if let paused { gate.isPaused = paused }
        case .pause: gate.isPaused = true
        case .resume: gate.isPaused = false
        case .pin(let parallelism, let rate, let period):
            if let parallelism { (gate.parallelism, gate.pinsParallelism) = (parallelism, true) }
            if let rate { (gate.rate, gate.period, gate.pinsRate) = (rate, period, true) }
            if rate != nil || gate.windowStart != nil { (gate.windowStart, gate.windowCount) = (now, 0) }
        case .unpin(let parallelism, let rate):
            if parallelism { gate.pinsParallelism = false }
            if rate { gate.pinsRate = false }
        case .resetRate: (gate.windowStart, gate.windowCount) = (now, 0)
        case .reset:
            (gate.windowStart, gate.windowCount) = (now, 0)
            held[lane] = nil
        }
        if !isQueue {
            flows.insert(short)
            gate.used = now
        }
        gates[lane] = gate
        return "ok"
    }

    /// Begins to delete a queue; false where there is none.
    mutating func deleteQueue(_ queue: String) -> Bool {
        guard queues.remove(queue) != nil else { return false }
        var gate = Gate()
        gate.isDeleted = true
        gates["queue:\(queue)"] = gate
        doomed[queue] = Set(lanes["queue:\(queue)"]?.fresh ?? [])
        return true
    }

    /// One page of the deletion. Which of those that hold a slot go first is free, so it follows what was seen.
    mutating func sweep(
        _ queue: String, most: Int, answer: (cancelled: Int, more: Bool), isGone: (String) -> Bool, _ now: Int64
    ) -> String? {
        guard gates["queue:\(queue)"]?.isDeleted == true else {
            return answer.cancelled == 0 && !answer.more ? nil : "swept a queue that is not being deleted"
        }
        let lane = "queue:\(queue)"
        let slots = held[lane, default: []].filter { messages[$0]?.state == .waiting }
        let entries = (lanes[lane]?.fresh ?? []).filter {
            doomed[queue, default: []].contains($0) && !slots.contains($0)
        }
        let total = slots.count + entries.count
        if answer.cancelled != min(most, total) { return "swept \(answer.cancelled) of \(total), \(most) at most" }
        if !answer.more, answer.cancelled < total { return "a sweep ended with \(total - answer.cancelled) left" }
        if answer.more, answer.cancelled < most { return "a sweep has more, and room for it" }
        let first = slots.filter(isGone)
        let rest = entries.prefix(answer.cancelled - first.count)
        if first.count < slots.count, !rest.isEmpty { return "a sweep took entries before those that hold a slot" }
        for id in first.sorted() + rest { _ = cancelWaiting(id, now) }
        if !answer.more {
            gates[lane]?.isDeleted = false
            doomed[queue] = nil
            if !queues.contains(queue), count(ofQueue: queue) == 0 { gates[lane] = nil }
        }
        return nil
    }
}

enum GateChange: Equatable {
    case put(parallelism: Int?, paused: Bool?)
    case pause
    case resume
    case pin(parallelism: Int?, rate: Int?, period: Int)
    case unpin(parallelism: Bool, rate: Bool)
    case resetRate
    case reset
}
