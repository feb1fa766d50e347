// The body of a callback message: what was sent, what came back (contract callbacks.md §2 and §3). The order of the
// keys is that of the contract's examples.

/// How header maps and times of the v2 envelope look (contract callbacks.md §3). v1 is the same in both.
package enum CallbackFormat: String, Sendable, Hashable, CaseIterable {
    /// Arrays of header values and numbers, as observed in traffic.
    case observed
    /// One text per header name and decimal strings, as the founding page prints it.
    case documented
}

package struct CallbackEnvelope: Sendable {
    private let message: Message
    private let outcome: Outcome
    private let format: CallbackFormat

    package init(message: Message, outcome: Outcome, format: CallbackFormat) {
        self.message = message
        self.outcome = outcome
        self.format = format
    }

    /// - Parameter dlqId: for the failure callback only.
    package func encode(dlqId: String?) -> [UInt8] {
        let responseBody = outcome.response?.body ?? []
        var json = JSONText(capacity: 700 + (responseBody.count + message.body.count) / 3 * 4)
        json.object { json in
            switch message.record.version {
            case .v1: writeV1(&json, responseBody)
            case .v2: writeV2(&json, responseBody, dlqId)
            }
        }
        return json.bytes
    }

    private func writeV1(_ json: inout JSONText, _ body: [UInt8]) {
        json.field("status", outcome.status)
        writeSource(&json)
        json.field("headers", outcome.response?.headers ?? [:])
        json.key("body")
        json.base64(body)
        json.field("retried", message.retried)
        writeError(&json)
    }

    private func writeV2(_ json: inout JSONText, _ body: [UInt8], _ dlqId: String?) {
        let record = message.record
        json.field("status", outcome.status)
        header("header", outcome.response?.headers ?? [:], &json)
        json.key("body")
        json.base64(body)
        json.field("retried", message.retried)
        json.field("maxRetries", record.retries)
        json.field("dlqId", ifAny: dlqId)
        writeSource(&json)
        json.field("topicName", ifAny: record.topic)
        json.field("endpointName", ifAny: record.endpoint)
        json.field("url", record.url)
        json.field("method", record.method.rawValue)
        header("sourceHeader", record.shownHeader, &json)
        json.key("sourceBody")
        json.base64(message.body)
        time("notBefore", record.notBefore, &json)
        time("createdAt", record.createdAt, &json)
        json.field("scheduleId", ifAny: record.schedule)
        json.field("callerIP", record.callerIP)
        writeError(&json)
    }

    /// Both spellings always: receivers exist for each.
    private func writeSource(_ json: inout JSONText) {
        json.field("sourceMessageId", message.id.text)
        json.field("sourceMessasgeId", message.id.text)
    }

    private func writeError(_ json: inout JSONText) {
        switch outcome {
        case .response: break
        case .noResponse(let reason): json.field("error", reason)
        }
    }

    private func header(_ name: String, _ map: HeaderMap, _ json: inout JSONText) {
        switch format {
        case .observed: json.field(name, map)
        case .documented:
            json.key(name)
            json.object { json in
                for entry in map.entries { json.field(entry.name, entry.values.joined(separator: ", ")) }
            }
        }
    }

    private func time(_ name: String, _ time: Timestamp, _ json: inout JSONText) {
        switch format {
        case .observed: json.field(name, time)
        case .documented: json.field(name, String(time.milliseconds))
        }
    }
}

extension MessageRecord {
    /// The header map as views and envelopes show it: without `User-Agent` (contract conventions.md §2).
    package var shownHeader: HeaderMap {
        guard header.contains("User-Agent") else { return header }
        var shown = header
        shown.remove("User-Agent")
        return shown
    }
}
