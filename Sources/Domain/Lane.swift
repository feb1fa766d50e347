// Which stream a message waits its turn in (design: lanes). One hanging endpoint must hold back only what goes to it.

import Crypto

package enum Lane {
    /// `topic:<name>:<hash of the endpoint>` or `host:<host[:port]>`. Holds no blank, so that a place is two words.
    package static func name(of record: MessageRecord) -> String {
        if let topic = record.topic { return "topic:\(topic):\(hash(record.url))" }
        guard let host = URLAuthority(ofURL: record.url)?.lane else { return "host:\(hash(record.url))" }
        let isPlain = host.utf8.count <= 255 && host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return "host:\(isPlain ? host : hash(host))"
    }

    /// First 16 hex digits of the SHA-256 of free text.
    package static func hash(_ text: String) -> String {
        ASCII.hex(SHA256.hash(data: Array(text.utf8)).prefix(8))
    }
}
