/// A new message as an operation describes it, made whole: what `publish` and the callbacks of `settle` are given.

struct FlowLimits: Equatable {
    var parallelism = 0
    var rate = 0
    /// Seconds.
    var period = 1
}

struct Parcel {
    var message: QueueModel.Message
    var limits: FlowLimits
    /// What its deduplication id is kept under, or empty.
    var dedup = ""

    init(id: String, kind: Kind, limits: FlowLimits, due: Int64, body: String, isShared: Bool = false) {
        self.limits = limits
        let (lane, queue, flow): (String, String?, String?) =
            switch kind {
            case .host(let number): ("host:h\(number)", nil, nil)
            case .topic(let number): ("topic:t:e\(number)", nil, nil)
            case .queue(let number): ("queue:q\(number)", "q\(number)", nil)
            case .flow(let number): ("flow:k\(number)", nil, "k\(number)")
            case .both(let number, let key): ("queue:q\(number)", "q\(number)", "k\(key)")
            }
        message = QueueModel.Message(
            id: id, lane: lane, queue: queue, flow: flow, due: due, request: #"{"url":"http://x/\#(id)"}"#, body: body,
            isShared: isShared)
    }

    /// As `Lane.gate` writes it.
    var gate: String {
        if message.queue == nil, message.flow == nil { return "" }
        let words = "\(message.queue ?? "/") \(message.flow ?? "#")"
        return "\(words) \(limits.parallelism) \(limits.rate) \(limits.period) \(message.flow ?? "")"
    }
}

/// One call of `publish` with its whole fan-out.
struct PublishedItem {
    var parcels: [Parcel]
    var topic: (name: String, revision: String)?
    var mostQueues = 0
}

/// Which lane a message goes through.
enum Kind: Equatable {
    case host(Int)
    case topic(Int)
    case queue(Int)
    case flow(Int)
    case both(Int, Int)
}
