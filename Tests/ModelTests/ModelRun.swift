/// Runs one sequence against the model and the real scripts, and says where they part.

import Engine
import RedisLink

/// Where model and store part.
struct Difference: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

final class ModelRun {
    /// A process as it knows itself.
    struct Node {
        var name: String
        /// The number of its next claim.
        var claim = 1
        /// Claims whose replies were lost.
        var unanswered: [Int] = []
        /// The last claim before which all were answered.
        var lastRead: Int { (unanswered.min() ?? claim) - 1 }
        var known: [(id: String, place: String)] = []
        var past: [(id: String, place: String)] = []
    }

    /// What another arrival of a call must answer.
    enum Arrival {
        case publish([PublishedItem])
        case settle(node: String, [SettledAttempt], Keeping)
        case retryDead([(dlqId: String, parcel: Parcel)], all: Bool, bytes: Int)
        /// It left a receipt.
        case same([String])
    }

    struct Call {
        var script: Script
        var arguments: [String]
        var sent: Int64
        var arrival: Arrival
    }

    static let start: Int64 = 1_735_689_600_000
    static let lease: Int64 = 10_000

    let store: ModelStore
    var model = QueueModel()
    var now = ModelRun.start {
        didSet { elapsed += max(0, now - oldValue) }
    }
    /// As a clock measures it that is never set back.
    private(set) var elapsed: Int64 = 0
    var behind: Int64 = 0
    var serial = 0
    var nodes = (0..<3).map { Node(name: "n\($0)") }
    var calls: [Call] = []
    /// Earlier revisions of topics.
    var oldTopics: [String: String] = [:]
    var countsEvents = true
    /// A window that lay ahead may count again, and its lane stand in the ring until a claim looks at it.
    var knowsTimes = true
    /// A node went around the ring and found nothing more: whoever puts a lane there must wake it.
    var sleeps = false
    private var starts = 0
    /// Compares everything behind each step; else now and then.
    private let isThorough: Bool
    private(set) var steps = 0

    init(_ store: ModelStore, isThorough: Bool) { (self.store, self.isThorough) = (store, isThorough) }

    /// The first difference, with the number of the step behind which it was seen; nil where there is none.
    static func difference(
        _ steps: [Step], on store: ModelStore, isThorough: Bool = false
    ) throws -> (text: String, step: Int)? {
        try store.empty()
        let run = ModelRun(store, isThorough: isThorough)
        defer {
            store.note("moved behind a key", run.model.moved.away)
            store.note("moved back before a queue", run.model.moved.back)
        }
        do {
            for step in steps { try run.take(step) }
            try run.rest(from: (steps.map(\.serial).max() ?? 0) + 1)
            return nil
        } catch let difference as Difference {
            return (difference.description, run.steps)
        } catch let error as RedisError {
            return ("\(error)", run.steps)
        }
    }

    func take(_ step: Step) throws {
        (serial, behind) = (step.serial, step.behind)
        steps += 1
        try perform(step.operation)
        if isThorough || steps % 5 == 0 { try compare() }
    }

    func compare() throws {
        // Nobody has looked since time made a leap, which is no finding here.
        let seen = try store.observe("audit").filter { !($0.hasPrefix("audit") && $0.contains(", and still in ")) }
        if sleeps, let ring = seen.first(where: { $0.hasPrefix("ring asleep ") && $0 != "ring asleep 0" }) {
            throw Difference("\(ring): lanes to run, and nobody was woken")
        }
        try compare(seen.filter { !$0.hasPrefix("ring ") }, model.lines)
    }

    private func compare(_ seen: Set<String>, _ wanted: Set<String>) throws {
        guard seen != wanted else { return }
        let more = seen.subtracting(wanted).sorted().prefix(4).map { "\n  Redis: \($0)" }
        let less = wanted.subtracting(seen).sorted().prefix(4).map { "\n  model: \($0)" }
        throw Difference((more + less).joined())
    }

    /// Sends a call at the step's time. nil where the clock is refused, as the model says it must be.
    func send(_ script: Script, _ arguments: [String], isStepped: Bool = false) throws -> (
        reply: [String], values: [RedisValue], now: Int64
    )? {
        let given = now - behind
        let expected = model.clock(given, isStepped: isStepped)
        let values = try store.run(script, ["\(given)" + (isStepped ? " stepped" : "")] + arguments)
        let reply = values.map(\.word)
        store.note("\(script.name) \(reply.first ?? "")")
        guard let expected else {
            if reply != ["clock", "\(model.lastClock)"] {
                throw Difference("\(script.name) at \(given): \(reply), not clock")
            }
            return nil
        }
        return (reply, values, expected)
    }

    func expect(_ what: String, _ reply: some Collection<String>, _ wanted: [String]) throws {
        if Array(reply) != wanted { throw Difference("\(what): \(Array(reply)), not \(wanted)") }
    }

    func remember(_ script: Script, _ arguments: [String], _ arrival: Arrival) {
        calls.append(Call(script: script, arguments: arguments, sent: elapsed, arrival: arrival))
    }

    func newName() -> String {
        starts += 1
        return "n\(nodes.count + starts)"
    }

    /// Lets all that is left come to its end: nothing may stay, and the log must tell each message's whole story.
    private func rest(from first: Int) throws {
        var serial = first
        func take(_ operation: Operation) throws {
            try self.take(Step(serial, operation))
            serial += 1
        }
        for lane in model.gates.keys.sorted() {
            let number = Int(lane.suffix(1)) ?? 0
            for _ in 0..<50 where model.gates[lane]?.isDeleted == true { try take(.sweep(number, most: 2)) }
            try take(.gate(lane.hasPrefix("queue:") ? .queue(number) : .flow(number), .resume))
        }
        for node in nodes.indices { try take(.crash(node: node)) }
        // A clock that was set back makes a lease longer.
        try take(.wait(max(Self.lease, (model.nodes.values.max() ?? 0) - now) + 1000))
        try take(.renew(node: 0, isFull: false))
        try take(.reclaim(node: 0, most: 100))
        for _ in 0..<200 {
            try take(.drain(node: 0))
            let known = nodes[0].known.count
            if known > 0 {
                let attempts = (0..<known).map { Attempt(pick: $0, step: .delivered) }
                try take(.settle(node: 0, attempts, Keeping()))
            } else if model.messages.isEmpty {
                break
            } else {
                try take(.waitForNext)
            }
        }
        try compare()
        if let id = model.messages.keys.min() { throw Difference("\(id) never ends") }
        guard countsEvents else { return }
        let counts = model.events.flatMap { id, kinds in kinds.map { "event \(id) \($0.key) \($0.value)" } }
        let lengths = model.events.map { id, kinds in "history \(id) \(kinds.values.reduce(0, +))" }
        try compare(try store.observe("events"), Set(counts + lengths))
    }
}
