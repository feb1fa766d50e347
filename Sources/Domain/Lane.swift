// Which stream a message waits its turn in (design: lanes). One hanging endpoint must hold back only what goes to it.

import Crypto

package enum Lane {
    /// `queue:<name>`, `flow:<key>`, `topic:<name>:<hash of the endpoint>` or `host:<host[:port]>`: the first that
    /// applies. Holds no blank, so that a place is two words.
    package static func name(of record: MessageRecord) -> String {
        if let queue = record.queue { return name(ofQueue: queue) }
        if let flowControl = record.flowControl { return name(ofFlowKey: flowControl.key) }
        if let topic = record.topic { return name(ofTopic: topic, endpoint: record.url) }
        guard let host = URLAuthority(ofURL: record.url)?.lane else { return "host:\(hash(record.url))" }
        let isPlain = host.utf8.count <= 255 && host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return "host:\(isPlain ? host : hash(host))"
    }

    package static func name(ofQueue queue: String) -> String { "queue:\(queue)" }
    package static func name(ofFlowKey key: String) -> String { "flow:\(flowPart(key))" }

    /// - Parameters:
    ///   - topic: its name.
    ///   - url: the endpoint's.
    package static func name(ofTopic topic: String, endpoint url: String) -> String { "topic:\(topic):\(hash(url))" }

    /// How a flow key stands in the names of keys: itself where it is short and plain, else `#` and a hash.
    package static func flowPart(_ key: String) -> String {
        let isPlain = (1...64).contains(key.utf8.count) && key.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return isPlain && !key.hasPrefix("#") ? key : "#\(hash(key))"
    }

    /// What the scripts must know of the gates in front of a message, in one text: `<queue or /> <flow or #>
    /// <parallelism> <rate> <period> <flow key>`, 0 for no limit; empty where there is neither queue nor key.
    package static func gate(of record: MessageRecord) -> String {
        if record.queue == nil, record.flowControl == nil { return "" }
        let flow = record.flowControl
        let limits = "\(flow?.parallelism ?? 0) \(flow?.rate ?? 0) \(flow?.period ?? 1)"
        return "\(record.queue ?? "/") \(flow.map { flowPart($0.key) } ?? "#") \(limits) \(flow?.key ?? "")"
    }

    /// First 16 hex digits of the SHA-256 of free text.
    package static func hash(_ text: String) -> String {
        ASCII.hex(SHA256.hash(data: Array(text.utf8)).prefix(8))
    }
}
