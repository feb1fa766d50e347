/// What may happen to the store. Which message, node or call is meant is said by a number that picks among those there
/// are, so that a sequence keeps its sense when others are taken out of it.

struct PublishedMessage: Equatable {
    var kind: Kind
    var delay: Int64 = 0
    var limits = FlowLimits()
    /// 0 for none.
    var dedup = 0
}

struct Attempt: Equatable {
    enum Step: Equatable {
        case delivered
        /// After so many ms; 0 and less is at once.
        case retry(Int64)
        case dead
    }

    var pick: Int
    var step: Step
    var callbacks: [Kind] = []
}

/// A claim that a publish takes along.
struct Carried: Equatable {
    var node: Int
    var limits = ClaimLimits()
    var isLost = false
}

enum Operation: Equatable {
    /// One call: a message or a fan-out.
    ///
    /// - Parameters:
    ///   - topic: what it is sent to, 0 for none; its revision is the one last seen, or an old one.
    ///   - mostQueues: as many as there may be, 0 for any number.
    case publish(
        [PublishedMessage], isShared: Bool, topic: Int = 0, isOld: Bool = false, mostQueues: Int = 0,
        carried: Carried? = nil)
    /// Several publishes in one call.
    case batch([[PublishedMessage]], carried: Carried? = nil)
    case editTopic(Int, isRemoved: Bool)
    /// A call that came lately comes again.
    case resend(pick: Int)
    case promote(most: Int)
    case renew(node: Int, isFull: Bool)
    case claim(node: Int, ClaimLimits, isLost: Bool)
    /// Promotes all and claims to the end of the ring: then nothing is left that may run.
    case drain(node: Int, ClaimLimits = ClaimLimits())
    case settle(node: Int, [Attempt], Keeping)
    /// A result that comes from a node which holds the message no more, or never did.
    case settleForeign(node: Int, pick: Int)
    /// The node ends without a word; another starts under a new name.
    case crash(node: Int)
    case reclaim(node: Int, most: Int)
    case handBack(node: Int, most: Int)
    /// The node loses its memory of a message.
    case forget(node: Int, pick: Int)
    case cancel([Int])
    case gate(Kind, GateChange)
    case deleteQueue(Int, most: Int)
    case sweep(Int, most: Int)
    /// - Parameter to: a queue or a key they have from now on.
    case retryDead([Int], all: Bool, delay: Int64, to: Kind? = nil, bytes: Int = 1_000_000)
    case dropDead([Int])
    case putSchedule(Int, after: Int64)
    case setSchedule(Int, ScheduleChange)
    /// Fires what is due; the second caller read the same.
    case fire([Kind], period: Int64, isRaced: Bool)
    case collect(Keeping, deadFor: Int64)
    /// Figures that others read.
    case read
    /// Redis's own clock is set back.
    case stepBack(Int64)
    /// Bytes of the log at most, 0 for none: it rolls over, and its events are not counted in the end.
    case limitLog(Int)
    case wait(Int64)
    /// To the time of what comes next.
    case waitForNext
}

enum ScheduleChange: String { case pause, resume, remove }

/// One operation of a sequence: `serial` names what it makes, whatever else is in the sequence.
struct Step: Equatable, CustomStringConvertible {
    var serial: Int
    var operation: Operation
    /// How far the caller's clock lies behind, ms.
    var behind: Int64 = 0

    init(_ serial: Int, _ operation: Operation, behind: Int64 = 0) {
        (self.serial, self.operation, self.behind) = (serial, operation, behind)
    }

    /// As it may stand in a test.
    var description: String {
        let text = "\(operation)".replacing("ModelTests.", with: "")
        return "Step(\(serial), .\(text)" + (behind == 0 ? ")" : ", behind: \(behind))")
    }
}
