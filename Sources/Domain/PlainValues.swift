// The small grammars of publish headers: booleans, labels, not-before (contract publish.md §4).

package enum Booleans {
    /// `true`, `false`, `1`, `0` in any case; nil for anything else.
    package static func parse(_ text: String) -> Bool? {
        switch ASCII.lowercased(text) {
        case "true", "1": true
        case "false", "0": false
        default: nil
        }
    }
}

package enum Labels {
    /// Parts of a comma list, trimmed; empty and repeated ones dropped, order kept.
    package static func parse(_ text: String) -> [String] {
        var labels: [String] = []
        var seen: Set<String> = []
        for part in text.utf8.split(separator: UInt8(ascii: ",")) {
            let label = String(ASCII.trimmed(Substring(part)))
            if !label.isEmpty && seen.insert(label).inserted { labels.append(label) }
        }
        return labels
    }
}

package enum NotBefore {
    package enum Fault: Error, Sendable, Hashable { case unreadable, tooFar }

    /// Digits of Unix seconds; a time in the past is now.
    package static func parse(
        _ text: String, now: Timestamp, maxDelay: Int64
    ) throws(Fault) -> Timestamp {
        guard let seconds = ASCII.saturatingInteger(text.utf8) else { throw .unreadable }
        let time = Timestamp(seconds: seconds)
        if time > now.adding(seconds: maxDelay) { throw .tooFar }
        return max(time, now)
    }
}
