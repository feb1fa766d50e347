// What a publish answers (contract publish.md §1): an object for a URL, a bare array for a URL group, the id of the
// schedule it made.

package enum PublishAnswer: Sendable {
    package struct Entry: Sendable, Hashable {
        package var messageId: MessageID
        package var url: String
        package var isDeduplicated: Bool

        package init(messageId: MessageID, url: String, isDeduplicated: Bool = false) {
            self.messageId = messageId
            self.url = url
            self.isDeduplicated = isDeduplicated
        }
    }

    case url(Entry)
    case topic([Entry])
    case schedule(id: String, isDeduplicated: Bool = false)
    /// A batch item that was well formed and still could not be published.
    case failed(RequestError)

    /// Messages that repeat others.
    package var duplicates: Int {
        switch self {
        case .url(let entry): entry.isDeduplicated ? 1 : 0
        case .topic(let entries): entries.count(where: \.isDeduplicated)
        case .schedule, .failed: 0
        }
    }

    package var json: [UInt8] {
        var json = JSONText()
        write(to: &json)
        return json.bytes
    }

    /// The answer of a batch: one element for each item, in order.
    package static func json(batch: [PublishAnswer]) -> [UInt8] {
        var json = JSONText()
        json.array { json in
            for answer in batch { answer.write(to: &json) }
        }
        return json.bytes
    }

    /// 200 and 202 for v2, 201 and 202 for v1; 202 only where every message is a duplicate.
    package func status(version: APIVersion) -> Int {
        switch self {
        case .failed(let error): return error.status
        case .url(let entry): if entry.isDeduplicated { return 202 }
        case .topic(let entries): if !entries.isEmpty, entries.allSatisfy(\.isDeduplicated) { return 202 }
        case .schedule(_, let isDeduplicated): if isDeduplicated { return 202 }
        }
        switch version {
        case .v1: return 201
        case .v2: return 200
        }
    }

    private func write(to json: inout JSONText) {
        switch self {
        case .url(let entry): entry.write(to: &json)
        case .topic(let entries):
            json.array { json in
                for entry in entries { entry.write(to: &json) }
            }
        case .schedule(let id, let isDeduplicated):
            json.object { json in
                json.field("scheduleId", id)
                if isDeduplicated { json.field("deduplicated", true) }
            }
        case .failed(let error): json.object { $0.field("error", error.text) }
        }
    }
}

extension PublishAnswer.Entry {
    fileprivate func write(to json: inout JSONText) {
        json.object { json in
            json.field("messageId", messageId.text)
            json.field("url", url)
            if isDeduplicated { json.field("deduplicated", true) }
        }
    }
}
