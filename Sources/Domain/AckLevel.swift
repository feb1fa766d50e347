// How far a message is stored before its publish is answered (`Roost-Ack`, contract publish.md §1).

package enum AckLevel: Sendable, Hashable, CustomStringConvertible {
    /// Redis has it, and has written it to its append-only file where it keeps one.
    case memory
    /// The append-only file was synced to the disk.
    case fsync
    /// So many replicas have it, too.
    case replica(Int)

    /// `memory`, `fsync` or `replica:N` with N from 1 to 100; nil for anything else.
    package init?(_ text: String) {
        let text = ASCII.trimmed(text)
        switch text {
        case "memory": self = .memory
        case "fsync": self = .fsync
        default:
            guard text.hasPrefix("replica:"), let count = ASCII.saturatingInteger(text.utf8.dropFirst(8)),
                (1...100).contains(count), text == "replica:\(count)"
            else { return nil }
            self = .replica(Int(count))
        }
    }

    package var description: String {
        switch self {
        case .memory: "memory"
        case .fsync: "fsync"
        case .replica(let count): "replica:\(count)"
        }
    }
}

extension RequestError {
    package static func notConfirmed(replicas: Int) -> RequestError {
        RequestError(status: 503, text: "stored, not confirmed by \(replicas) replicas")
    }
}
