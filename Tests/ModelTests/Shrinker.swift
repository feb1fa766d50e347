/// Makes a sequence that shows a difference short: fewer steps, then plainer ones.

struct Shrinker {
    /// Whether a sequence still shows a difference.
    let fails: ([Step]) throws -> Bool

    func shrink(_ steps: [Step]) throws -> [Step] {
        var steps = steps
        var before: [Step] = []
        for _ in 0..<6 where steps != before {
            before = steps
            try removeChunks(&steps)
            try simplify(&steps)
        }
        return steps
    }

    private func removeChunks(_ steps: inout [Step]) throws {
        var size = max(steps.count / 2, 1)
        while true {
            var at = 0
            while at < steps.count {
                var fewer = steps
                fewer.removeSubrange(at..<min(at + size, steps.count))
                if try fails(fewer) { steps = fewer } else { at += size }
            }
            if size == 1 { return }
            size = max(size / 2, 1)
        }
    }

    private func simplify(_ steps: inout [Step]) throws {
        for index in steps.indices {
            var tried = true
            while tried {
                tried = false
                for operation in steps[index].operation.plainer {
                    var plainer = steps
                    plainer[index].operation = operation
                    if try fails(plainer) {
                        (steps, tried) = (plainer, true)
                        break
                    }
                }
            }
            guard steps[index].behind != 0 else { continue }
            var plainer = steps
            plainer[index].behind = 0
            if try fails(plainer) { steps = plainer }
        }
    }
}

extension Operation {
    /// Operations that do a little less, the plainest first.
    var plainer: [Operation] {
        let all: [Operation] =
            switch self {
            case .publish(let messages, let isShared, let topic, let isOld, let mostQueues, let carried):
                [
                    .publish(
                        messages, isShared: false, topic: topic, isOld: isOld, mostQueues: mostQueues, carried: carried),
                    .publish(messages, isShared: isShared, mostQueues: mostQueues, carried: carried),
                    .publish(messages, isShared: isShared, topic: topic, isOld: isOld, carried: carried),
                ]
                    + carried.plainer.map {
                        .publish(
                            messages, isShared: isShared, topic: topic, isOld: isOld, mostQueues: mostQueues,
                            carried: $0)
                    }
                    + (messages.fewer + messages.withPlainer(\.plainer)).map {
                        .publish(
                            $0, isShared: isShared, topic: topic, isOld: isOld, mostQueues: mostQueues, carried: carried
                        )
                    }
            case .batch(let items, let carried):
                items.fewer.map { .batch($0, carried: carried) }
                    + items.withPlainer { $0.fewer + $0.withPlainer(\.plainer) }.map { .batch($0, carried: carried) }
                    + carried.plainer.map { .batch(items, carried: $0) }
            case .resend: [.resend(pick: 0)]
            case .promote: [.promote(most: 200)]
            case .renew: [.renew(node: 0, isFull: false)]
            case .claim(let node, let limits, let isLost):
                [
                    .drain(node: node), .claim(node: 0, limits, isLost: isLost),
                    .claim(node: node, limits, isLost: false),
                    .claim(node: node, ClaimLimits(), isLost: isLost),
                ]
            case .drain(let node, let limits): [.drain(node: node), .drain(node: 0, limits)]
            case .settle(let node, let attempts, let keeping):
                [.settle(node: 0, attempts, keeping), .settle(node: node, attempts, Keeping())]
                    + (attempts.fewer + attempts.withPlainer(\.plainer)).map { .settle(node: node, $0, keeping) }
            case .settleForeign(let node, _): [.settleForeign(node: node, pick: 0)]
            case .reclaim(let node, _): [.reclaim(node: node, most: 200)]
            case .handBack(let node, _): [.handBack(node: node, most: 200)]
            case .forget(let node, _): [.forget(node: node, pick: 0)]
            case .cancel(let picks): picks.fewer.map { .cancel($0) } + [.cancel([0])]
            case .gate(let kind, .put(let parallelism, let paused)):
                [
                    .gate(kind, .put(parallelism: nil, paused: paused)),
                    .gate(kind, .put(parallelism: parallelism, paused: nil)),
                ]
            case .retryDead(let picks, let all, let delay, let to, let bytes):
                picks.fewer.map { .retryDead($0, all: all, delay: delay, to: to, bytes: bytes) }
                    + [.retryDead([0], all: false, delay: 0), .retryDead(picks, all: all, delay: 0, to: to)]
            case .dropDead(let picks): picks.fewer.map { .dropDead($0) } + [.dropDead([0])]
            case .fire(let kinds, let period, _):
                kinds.fewer.map { .fire($0, period: period, isRaced: false) } + [
                    .fire(kinds, period: 60_000, isRaced: false)
                ]
            case .wait: [.waitForNext, .wait(1000)]
            case .crash, .gate, .deleteQueue, .sweep, .putSchedule, .setSchedule, .collect, .waitForNext, .read,
                .stepBack,
                .limitLog, .editTopic:
                []
            }
        // Each must be less than the one before, or two would be taken for plainer than each other for ever.
        return all.filter { $0 != self && "\($0)".count < "\(self)".count || isPlainerByRank($0) }
    }

    private func isPlainerByRank(_ other: Operation) -> Bool {
        guard other != self, "\(other)".count == "\(self)".count else { return false }
        return "\(other)" < "\(self)"
    }
}

extension Carried? {
    fileprivate var plainer: [Carried?] {
        guard let carried = self else { return [] }
        return [
            nil, Carried(node: carried.node), Carried(node: carried.node, limits: carried.limits),
            Carried(node: carried.node, isLost: carried.isLost),
        ]
    }
}

extension PublishedMessage {
    fileprivate var plainer: [PublishedMessage] {
        [
            PublishedMessage(kind: kind), PublishedMessage(kind: kind, delay: delay, dedup: dedup),
            PublishedMessage(kind: kind, limits: limits, dedup: dedup),
            PublishedMessage(kind: kind, delay: delay, limits: limits),
        ]
    }
}

extension Attempt {
    fileprivate var plainer: [Attempt] {
        [Attempt(pick: pick, step: step), Attempt(pick: 0, step: step, callbacks: callbacks)]
            + callbacks.fewer.map { Attempt(pick: pick, step: step, callbacks: $0) }
    }
}

extension Array {
    /// The list with one member plainer, in each way there is.
    fileprivate func withPlainer(_ plainer: (Element) -> [Element]) -> [[Element]] {
        indices.flatMap { index in
            plainer(self[index]).map { member in
                var changed = self
                changed[index] = member
                return changed
            }
        }
    }

    /// The list without its second half, and without each of its members; never empty.
    fileprivate var fewer: [[Element]] {
        guard count > 1 else { return [] }
        return [Array(prefix(count / 2))]
            + indices.prefix(8).map { index in
                var rest = self
                rest.remove(at: index)
                return rest
            }
    }
}
