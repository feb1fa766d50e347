// `Upstash-Flow-Control-Value`: `parallelism=3, rate=5, period=1m` (contract flow-control.md §1).

extension FlowControl {
    package struct Fault: Error, Sendable, Hashable {
        /// For the client.
        package let text: String
    }

    /// Reads the value for a key; at least one of parallelism and rate must stand in it.
    package static func parse(
        key: String, value: String, maxPeriod: Int64 = 604_800
    ) throws(Fault) -> FlowControl {
        var flow = FlowControl(key: key)
        var seen: Set<String> = []
        for part in value.split(separator: ",", omittingEmptySubsequences: false) {
            guard let equals = part.firstIndex(of: "=") else { throw Fault(text: "\"\(part)\" is not name=value") }
            let name = ASCII.trimmed(String(part[..<equals]))
            let text = ASCII.trimmed(String(part[part.index(after: equals)...]))
            guard seen.insert(name).inserted else { throw Fault(text: "\(name) is given twice") }
            switch name {
            case "parallelism": flow.parallelism = try count(text, name)
            case "rate": flow.rate = try count(text, name)
            case "period":
                guard let seconds = DurationText.parse(text), (1...maxPeriod).contains(seconds) else {
                    throw Fault(text: "period must be a duration from 1 second to \(maxPeriod) seconds")
                }
                flow.period = Int(clamping: seconds)
            default: throw Fault(text: "\"\(name)\" is not one of parallelism, rate, period")
            }
        }
        guard flow.parallelism != nil || flow.rate != nil else { throw Fault(text: "needs parallelism or rate") }
        return flow
    }

    /// The most a limit may be: what a script's number holds exactly.
    package static let mostStarts: Int64 = 1_000_000_000_000

    private static func count(_ text: String, _ name: String) throws(Fault) -> Int {
        guard let value = ASCII.saturatingInteger(text.utf8), value >= 1 else {
            throw Fault(text: "\(name) must be a whole number from 1")
        }
        return Int(min(value, mostStarts))
    }
}
