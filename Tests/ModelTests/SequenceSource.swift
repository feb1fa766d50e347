/// Makes sequences from a seed: the same seed, the same sequence.

import TestSupport

struct SequenceSource {
    private var random: SeededGenerator
    private var kinds: [Kind] = []
    /// How likely each kind of operation is in this sequence.
    private var weights: [(Int, Draw)] = []

    private enum Draw { case publish, deliver, settle, time, crash, cancel, gate, dead, schedule, house, resend, step }

    static func steps(seed: UInt64) -> [Step] {
        var source = SequenceSource(random: SeededGenerator(seed: seed))
        return source.sequence()
    }

    private init(random: SeededGenerator) { self.random = random }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func one(in chances: Int) -> Bool { number(1...chances) == 1 }
    private mutating func pick<T>(_ choices: T...) -> T { choices[number(0...(choices.count - 1))] }
    private mutating func numbers(_ most: Int) -> [Int] {
        (0..<number(1...most)).map { _ in one(in: 15) ? 1000 : number(0...99) }
    }

    private mutating func sequence() -> [Step] {
        chooseMood()
        let length = one(in: 30) ? number(100...200) : number(10...60)
        if one(in: 15) { weights.append((1, .step)) }
        var steps = [Step(0, .renew(node: 0, isFull: false)), Step(1, .renew(node: 1, isFull: true))]
        if one(in: 12) { steps.append(Step(2, .limitLog(pick(0, 3000, 20_000)))) }
        for serial in 3..<(length + 3) {
            let behind: Int64 = one(in: 12) ? pick(3, 90, 400, 950, 4000) : 0
            steps.append(Step(serial, operation(), behind: behind))
        }
        return steps
    }

    /// A sequence that does a little of everything meets itself too seldom: each keeps to a few lanes and likes some
    /// operations better than others.
    private mutating func chooseMood() {
        let all: [Kind] = [
            .host(0), .host(1), .topic(0), .queue(0), .queue(1), .flow(0), .flow(1), .both(0, 0), .both(1, 0),
            .both(0, 1),
        ]
        kinds = (0..<number(1...4)).map { _ in all[number(0...(all.count - 1))] }
        if one(in: 6) { kinds = all }
        // Queues that share a key, and are paused while their messages wait behind it.
        let isTangled = one(in: 5)
        if isTangled { kinds = pick([.both(0, 0)], [.both(0, 0), .flow(0)], [.both(0, 0), .both(1, 0), .queue(0)]) }
        weights = [
            (8, .publish), (8, .deliver), (8, .settle), (4, .time), (isTangled ? 4 : number(0...4), .crash),
            (number(0...3), .cancel),
            (isTangled ? 6 : number(0...5), .gate), (pick(0, 1, 5), .dead), (pick(0, 1, 4), .schedule), (2, .house),
            (2, .resend),
        ]
    }

    private mutating func operation() -> Operation {
        var at = number(1...weights.reduce(0) { $0 + $1.0 })
        for (weight, draw) in weights {
            at -= weight
            if at <= 0 { return operation(draw) }
        }
        return .waitForNext
    }

    private mutating func kind() -> Kind { kinds[number(0...(kinds.count - 1))] }
    private mutating func node() -> Int { one(in: 3) ? number(1...2) : 0 }
    private mutating func delay() -> Int64 { one(in: 3) ? pick(1, 500, 3000, 20_000, 100_000) : 0 }

    private mutating func limits() -> FlowLimits {
        FlowLimits(parallelism: pick(0, 1, 1, 2, 3), rate: pick(0, 0, 1, 2, 3), period: pick(1, 1, 10, 60))
    }

    private mutating func operation(_ draw: Draw) -> Operation {
        switch draw {
        case .publish: publish()
        case .deliver: deliver()
        case .settle: settle()
        case .time: time()
        case .crash: loss()
        case .cancel: .cancel(one(in: 6) ? Array(0..<100) : numbers(3))
        case .gate: gate()
        case .dead: deadLetters()
        case .schedule: schedule()
        case .step: .stepBack(pick(500, 1500, 30_000, 700_000))
        case .house where one(in: 2): one(in: 2) ? .read : .editTopic(1, isRemoved: one(in: 3))
        case .house: .collect(keeping(), deadFor: pick(1, 60_000, 86_400_000))
        case .resend: .resend(pick: one(in: 2) ? number(0...99) : 0)
        }
    }

    private mutating func publish() -> Operation {
        if one(in: 8) {
            return .batch(
                (0..<number(1...3)).map { _ in (0..<number(1...2)).map { _ in message(limits()) } }, carried: carried())
        }
        let flow = limits()
        let count = one(in: 3) ? number(1...3) : 1
        let messages = (0..<count).map { _ in message(flow) }
        let queues = one(in: 8) && count == 1 ? number(1...2) : 0
        return .publish(
            messages, isShared: one(in: 8), topic: one(in: 10) ? 1 : 0, isOld: one(in: 3), mostQueues: queues,
            carried: carried())
    }

    private mutating func carried() -> Carried? {
        one(in: 3) ? Carried(node: node(), limits: claimLimits(), isLost: one(in: 6)) : nil
    }

    private mutating func message(_ flow: FlowLimits) -> PublishedMessage {
        PublishedMessage(kind: kind(), delay: delay(), limits: flow, dedup: one(in: 6) ? number(1...2) : 0)
    }

    private mutating func deliver() -> Operation {
        switch number(1...10) {
        case 1...3: .drain(node: node())
        case 4: .drain(node: node(), claimLimits())
        case 5: .promote(most: pick(1, 2, 200))
        case 6: .renew(node: node(), isFull: one(in: 2))
        default:
            .claim(node: node(), claimLimits(), isLost: one(in: 6))
        }
    }

    private mutating func claimLimits() -> ClaimLimits {
        ClaimLimits(
            capacity: pick(1, 2, 5, 1000, 1000), share: pick(0.25, 0.5, 1, 1), most: pick(1, 2, 5, 128),
            quantum: pick(1, 2, 16), lanes: pick(1, 2, 256), bytes: one(in: 6) ? pick(1, 60) : 4_000_000)
    }

    private mutating func keeping() -> Keeping {
        one(in: 8) ? Keeping(milliseconds: pick(1, 5000), bytes: pick(0, 100, 1_000_000)) : Keeping()
    }

    private mutating func settle() -> Operation {
        if one(in: 12) { return .settleForeign(node: node(), pick: number(0...99)) }
        let attempts = (0..<number(1...3)).map { _ in
            let step: Attempt.Step = pick(.delivered, .retry(pick(-5, 0, 1000, 1000, 30_000)), .dead)
            let callbacks: [Kind] = (0..<(one(in: 3) ? number(1...2) : 0)).map { _ in pick(.host(2), .flow(0), .flow(2))
            }
            return Attempt(pick: number(0...99), step: step, callbacks: callbacks)
        }
        return .settle(node: node(), attempts, keeping())
    }

    private mutating func time() -> Operation {
        switch number(1...6) {
        case 1...3: .waitForNext
        case 4: .wait(pick(1, 50, 100, 700))
        case 5: .wait(pick(1000, 5000, 10_000))
        default: .wait(pick(11_000, 60_000, 600_000, 90_000_000))
        }
    }

    private mutating func loss() -> Operation {
        switch number(1...8) {
        case 1...2: .crash(node: node())
        case 3...5: .reclaim(node: node(), most: pick(1, 2, 200))
        case 6: .handBack(node: node(), most: pick(1, 2, 200))
        default: .forget(node: node(), pick: number(0...99))
        }
    }

    private mutating func gate() -> Operation {
        let kind = kind()
        let isQueue =
            switch kind {
            case .queue: true
            case .both: one(in: 2)
            case .host, .topic, .flow: false
            }
        guard isQueue else {
            let change: GateChange =
                switch number(1...9) {
                case 1...2: .pause
                case 3...4: .resume
                case 5...6:
                    .pin(parallelism: pick(nil, 0, 1, 2), rate: pick(nil, 0, 1, 3), period: pick(1, 10))
                case 7: .unpin(parallelism: one(in: 2), rate: one(in: 2))
                case 8: .resetRate
                default: .reset
                }
            return .gate(kind == .queue(0) ? .flow(0) : kind, change)
        }
        let queue =
            switch kind {
            case .queue(let number), .both(let number, _): number
            case .host, .topic, .flow: 0
            }
        switch number(1...10) {
        case 1...3: return .gate(.queue(queue), .pause)
        case 4...5: return .gate(.queue(queue), .resume)
        case 6...7:
            return .gate(.queue(queue), .put(parallelism: pick(nil, 1, 2, 3), paused: pick(nil, nil, true, false)))
        case 8: return .sweep(queue, most: pick(1, 200))
        default: return .deleteQueue(queue, most: pick(1, 2, 200))
        }
    }

    private mutating func deadLetters() -> Operation {
        one(in: 3)
            ? .dropDead(numbers(2))
            : .retryDead(
                numbers(2), all: one(in: 3), delay: delay(),
                to: one(in: 4) ? pick(.queue(1), .flow(1), .both(0, 1)) : nil,
                bytes: one(in: 5) ? pick(0, 12) : 1_000_000)
    }

    private mutating func schedule() -> Operation {
        switch number(1...5) {
        case 1...2: .putSchedule(number(0...1), after: pick(0, 0, 1000, 60_000))
        case 3: .setSchedule(number(0...1), pick(.pause, .resume, .resume, .remove))
        default:
            .fire((0..<number(0...2)).map { _ in kind() }, period: pick(1000, 60_000), isRaced: one(in: 3))
        }
    }
}
