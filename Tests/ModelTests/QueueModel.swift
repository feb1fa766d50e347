/// What the scripts promise, as plain values: where every message is, who holds what, and why. It knows no Redis, no
/// ring and no streams: a lane is two lists.

struct QueueModel {
    enum State: String { case waiting, active, cancelling }

    enum Place: Equatable {
        case due
        case fresh(String)
        case again(String)

        /// As the name of the key stands in Redis, behind the root.
        var text: String {
            switch self {
            case .due: "due"
            case .fresh(let lane): "lane:\(lane)"
            case .again(let lane): "again:\(lane)"
            }
        }
    }

    struct Message {
        var id: String
        var lane: String
        var queue: String?
        var flow: String?
        var due: Int64
        var request: String
        var body: String
        /// The body is stored apart, for all that name it.
        var isShared = false
        var state = State.waiting
        var place = Place.due
        var retried = 0
        var reclaimed = 0
        var source: String?
        var sourceQueue: String?
        var schedule: String?
        /// Who has it in flight, since which claim, and its place as that claim answered it.
        var hold: (node: String, claim: Int, place: String)?
    }

    /// Those that wait, in their order. What is in flight is in neither.
    struct Waiting {
        var again: [String] = []
        var fresh: [String] = []
    }

    struct DeadLetter { var message: Message }
    struct Ended { var time: Int64, size: Int }
    struct Schedule {
        var revision: String
        var next: Int64
        var isPaused = false
        var missed = 0
        var states: [String: String] = [:]
    }

    var messages: [String: Message] = [:]
    var lanes: [String: Waiting] = [:]
    var gates: [String: Gate] = [:]
    var queues: Set<String> = []
    var flows: Set<String> = []
    /// Waiting entries of a queue that is being deleted, which the sweep ends.
    var doomed: [String: Set<String>] = [:]
    var held: [String: Set<String>] = [:]
    var waits: [String: Set<String>] = [:]
    /// Node to the end of its lease.
    var nodes: [String: Int64] = [:]
    var finished: [String: Ended] = [:]
    /// Ids that are still known, by the time they count from.
    var ended: [String: Int64] = [:]
    var dead: [String: DeadLetter] = [:]
    var dedups: [String: (id: String, till: Int64)] = [:]
    var schedules: [String: Schedule] = [:]
    /// Name to revision.
    var topics: [String: String] = [:]
    /// What the log must hold in the end: for each message how many events of each kind.
    var events: [String: [String: Int]] = [:]
    /// Messages that claims have sent behind their key, and back before their queue.
    var moved = (away: 0, back: 0)
    var lastClock: Int64 = 0
    var latestNow: Int64 = 0

    static let endedFor: Int64 = 20_000
    static let window: Int64 = 600_000

    /// Now as the scripts take it; nil where they refuse because the caller's clock lies too far behind.
    ///
    /// - Parameter isStepped: Redis itself has stepped back.
    mutating func clock(_ given: Int64, isStepped: Bool = false) -> Int64? {
        if isStepped, given < lastClock {
            lastClock = given
            return given
        }
        if given < lastClock { return lastClock - given >= 1000 ? nil : lastClock }
        if given - lastClock >= 100 { lastClock = given }
        latestNow = max(latestNow, given)
        return given
    }

    mutating func note(_ id: String, _ event: String) { events[id, default: [:]][event, default: 0] += 1 }

    /// Ordered by time, then by id.
    var due: [Message] {
        messages.values.filter { $0.place == .due }.sorted { ($0.due, $0.id) < ($1.due, $1.id) }
    }

    mutating func append(_ id: String, to place: Place) {
        messages[id]?.place = place
        messages[id]?.state = .waiting
        switch place {
        case .due: break
        case .fresh(let lane): lanes[lane, default: Waiting()].fresh.append(id)
        case .again(let lane): lanes[lane, default: Waiting()].again.append(id)
        }
    }

    mutating func removeWaiting(_ id: String) {
        switch messages[id]?.place {
        case .fresh(let lane): lanes[lane]?.fresh.removeAll { $0 == id }
        case .again(let lane): lanes[lane]?.again.removeAll { $0 == id }
        case .due, nil: break
        }
    }

    /// A message whose time has come, or that is tried again at once.
    mutating func enter(_ id: String) {
        guard let message = messages[id] else { return }
        if let flow = message.flow {
            append(id, to: .fresh("flow:\(flow)"))
        } else if message.queue != nil {
            append(id, to: .again(message.lane))
        } else {
            append(id, to: .fresh(message.lane))
        }
    }

    mutating func create(_ parcel: Parcel, source: (id: String, queue: String)? = nil, now: Int64) {
        var message = parcel.message
        message.source = source?.id
        message.sourceQueue = source?.queue
        messages[message.id] = message
        if let queue = message.queue { makeQueue(queue) }
        if let flow = message.flow { setFlow(flow, parcel.limits, now) }
        if message.queue != nil {
            append(message.id, to: .fresh(message.lane))
        } else if message.due > now || (message.flow != nil && (dueBacklog(but: message.id) ?? .max) <= now) {
            append(message.id, to: .due)
        } else {
            append(message.id, to: .fresh(message.lane))
        }
        note(message.id, "CREATED")
    }

    private func dueBacklog(but id: String) -> Int64? {
        messages.values.filter { $0.place == .due && $0.id != id }.map(\.due).min()
    }

    func isKnown(_ id: String) -> Bool { messages[id] != nil || finished[id] != nil || ended[id] != nil }

    mutating func shedEnded(before time: Int64) { ended = ended.filter { $0.value > time } }

    /// What a message gives back when it ends. It is in `messages` no more; its own callbacks are.
    mutating func leave(_ message: Message) {
        if let flow = message.flow { freeFlow(message.id, flow) }
        if let queue = message.queue {
            if count(ofQueue: queue) == 0, !queues.contains(queue) { gates["queue:\(queue)"] = nil }
            freeQueue(message.id, queue)
        }
        if let source = message.source, waits[source]?.remove(message.id) != nil {
            if waits[source]?.isEmpty == true { waits[source] = nil }
            if messages[source] == nil, let queue = message.sourceQueue { freeQueue(source, queue) }
        }
    }

    func count(ofQueue queue: String) -> Int { messages.values.count { $0.queue == queue } }
    func count(ofFlow flow: String) -> Int { messages.values.count { $0.flow == flow } }

    mutating func freeFlow(_ id: String, _ flow: String) { held["flow:\(flow)"]?.remove(id) }

    /// Only when its direct callbacks have ended, too.
    mutating func freeQueue(_ id: String, _ queue: String) {
        if waits[id] == nil { held["queue:\(queue)"]?.remove(id) }
    }

    mutating func noteEnd(_ message: Message, _ result: String) {
        guard let schedule = message.schedule, schedules[schedule]?.states[message.id] != nil else { return }
        schedules[schedule]?.states[message.id] = result
    }

    /// The end of a cancelled message.
    mutating func forget(_ id: String, _ now: Int64) {
        removeWaiting(id)
        guard let message = messages.removeValue(forKey: id) else { return }
        note(id, "CANCELED")
        noteEnd(message, "FAIL")
        ended[id] = now
        leave(message)
    }

    mutating func cancelWaiting(_ id: String, _ now: Int64) -> Bool {
        guard messages[id]?.state == .waiting else { return false }
        note(id, "CANCEL_REQUESTED")
        forget(id, now)
        return true
    }

    mutating func cancel(_ ids: [String], _ now: Int64) -> Int {
        var count = 0
        for id in ids {
            if cancelWaiting(id, now) {
                count += 1
            } else if messages[id]?.state == .active {
                messages[id]?.state = .cancelling
                note(id, "CANCEL_REQUESTED")
                count += 1
            }
        }
        return count
    }

    /// Answers how many messages were moved.
    mutating func promote(_ most: Int, _ now: Int64) -> Int {
        let ids = due.prefix { $0.due <= now }.prefix(most).map(\.id)
        for id in ids { enter(id) }
        return ids.count
    }
}
