// When a publish repeats another (contract publish.md §6).

import Crypto

extension PublishRequest {
    /// What the creation of a schedule is deduplicated by.
    package var scheduleDedup: String? { deduplication?.key(of: self) }
}

package enum Deduplication: Sendable, Hashable {
    /// The caller's own, one namespace for the whole server.
    case id(String)
    /// Derived from where the message goes and what it carries.
    case content

    /// The name the id is kept under in Redis. Endpoints of a topic have one each; schedules have theirs, since their
    /// answer is another.
    ///
    /// - `endpoint`: the URL of the endpoint, for a topic.
    package func key(of request: PublishRequest, endpoint: String? = nil) -> String {
        var hash = SHA256()
        func add(_ bytes: some Sequence<UInt8>) {
            let bytes = Array(bytes)
            // Lengths in front, so that no two lists of parts read the same.
            hash.update(data: Array("\(bytes.count):".utf8))
            hash.update(data: bytes)
        }
        add((request.schedule == nil ? "message" : "schedule").utf8)
        switch self {
        case .id(let id):
            add("id".utf8)
            add(id.utf8)
        case .content:
            add("content".utf8)
            switch request.destination {
            case .url(let text), .topic(let text): add(text.utf8)
            }
            add(request.body)
            for entry in request.settings.header.entries.sorted(by: { $0.name < $1.name }) {
                add(entry.name.utf8)
                for value in entry.values { add(value.utf8) }
                add("".utf8)
            }
        }
        if let endpoint { add(endpoint.utf8) }
        return ASCII.hex(hash.finalize().prefix(16))
    }
}
