// An event of the log and how the API shows it (contract logs.md).

package enum LogState: String, Sendable, Hashable, CaseIterable {
    case created = "CREATED"
    case active = "ACTIVE"
    case error = "ERROR"
    case retry = "RETRY"
    case delivered = "DELIVERED"
    case failed = "FAILED"
    case cancelRequested = "CANCEL_REQUESTED"
    case canceled = "CANCELED"

    /// Values of the filter `state`: `CANCELLED` and `IN_PROGRESS` exist there only.
    static func isFilter(_ text: String) -> Bool {
        LogState(rawValue: text) != nil || text == "CANCELLED" || text == "IN_PROGRESS"
    }

    func matches(filter: String) -> Bool {
        switch filter {
        case "IN_PROGRESS": self == .active || self == .retry || self == .error
        case "CANCELLED": self == .canceled
        default: rawValue == filter
        }
    }
}

/// What an `ERROR` keeps of the answer, and what the others keep where the first event may be gone.
package struct LogDetail: Sendable, Hashable {
    package var error: String?
    /// 0 without a response.
    package var status: Int?
    package var header: HeaderMap?
    /// When the next attempt is due.
    package var next: Timestamp?
    package var url: String?

    package init() {}

    /// The JSON text of a failed attempt.
    ///
    /// - `mostBytes`: of the headers; those that do not fit are left out.
    package static func encode(_ outcome: Outcome, error: String, mostBytes: Int) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("error", error)
            json.field("status", outcome.status)
            guard let response = outcome.response else { return }
            var kept: HeaderMap = [:]
            var bytes = 0
            for entry in response.headers.entries {
                bytes += entry.values.reduce(entry.name.utf8.count) { $0 + $1.utf8.count }
                if bytes > mostBytes { break }
                kept.set(entry.name, entry.values)
            }
            json.field("header", kept)
        }
        return json.bytes
    }

    /// Nothing where the text can't be read: an event is never worth an error.
    package init(json: [UInt8]) {
        guard !json.isEmpty, let value = try? JSONValue.read(json), let members = try? JSONMembers(value, of: "event")
        else { return }
        error = try? members.optionalString("error")
        status = try? members.optionalInt("status")
        header = members["header"] == nil ? nil : try? members.header("header")
        next = try? members.optionalTime("next")
        url = try? members.optionalString("url")
    }
}

/// One event as it stands in the log, without the request.
package struct MessageEvent: Sendable {
    /// `<ms>-<number>`: its place in the order of all events.
    package var ref: String
    package var messageID: String
    package var state: LogState
    /// The ref of the message's first event, which holds the request.
    package var created: String
    /// The ref of the event before it, of the same message.
    package var before: String
    package var detail: LogDetail

    package init(ref: String, messageID: String, state: LogState, created: String, before: String, detail: LogDetail) {
        (self.ref, self.messageID, self.state) = (ref, messageID, state)
        (self.created, self.before, self.detail) = (created, before, detail)
    }

    package var time: Timestamp {
        Timestamp(milliseconds: Int64(ref.prefix { $0 != "-" }) ?? 0)
    }

    package var number: Int64 { Int64(ref.drop { $0 != "-" }.dropFirst()) ?? 0 }
}

/// An event with all the API shows of it.
package struct LogEntry: Sendable {
    package var event: MessageEvent
    /// Nil where the message's first event is gone already.
    package var record: MessageRecord?
    package var body: [UInt8] = []
    /// Of `ERROR` and `FAILED`.
    package var answer: LogDetail?
    package var responseBody: [UInt8] = []
    /// Bytes of the request as it is stored.
    package var requestBytes = 0

    /// About what it takes in an answer.
    package var size: Int { requestBytes + (body.count + responseBody.count) / 3 * 4 + 256 }

    package init(event: MessageEvent, record: MessageRecord?) { (self.event, self.record) = (event, record) }

    /// - `limits`: a message without a timeout of its own has the server's.
    package func write(to json: inout JSONText, limits: Limits, trimBody: Int?) {
        func trimmed(_ bytes: [UInt8]) -> [UInt8] { trimBody.map { Array(bytes.prefix($0)) } ?? bytes }
        json.object { json in
            json.field("time", event.time)
            json.field("state", event.state.rawValue)
            json.field("messageId", event.messageID)
            json.field("url", record?.url ?? event.detail.url ?? "")
            if let record { write(record, trimmed(body), to: &json, limits: limits) }
            if let next = nextDelivery { json.field("nextDeliveryTime", next) }
            guard event.state == .error || event.state == .failed, let answer else { return }
            json.field("error", ifAny: answer.error)
            if let status = answer.status, status != 0 { json.field("responseStatus", status) }
            if let header = answer.header {
                json.field("responseHeader", header)
                json.field("responseHeaders", header)
            }
            let response = trimmed(responseBody)
            if !response.isEmpty {
                json.key("responseBody")
                json.base64(response)
            }
        }
    }

    /// For the grouped form: what of it is not the message's.
    package func writeShort(to json: inout JSONText) {
        json.object { json in
            json.field("time", event.time)
            json.field("state", event.state.rawValue)
        }
    }

    private var nextDelivery: Timestamp? {
        switch event.state {
        case .created: record?.notBefore
        case .retry, .error: event.detail.next
        default: nil
        }
    }

    private func write(_ record: MessageRecord, _ body: [UInt8], to json: inout JSONText, limits: Limits) {
        json.field("topicName", ifAny: record.topic)
        json.field("endpointName", ifAny: record.endpoint)
        json.field("method", record.method.rawValue)
        json.field("header", record.shown(record.shownHeader))
        if let mark = record.bodyMark(body) {
            json.field("body", mark)
        } else if !body.isEmpty {
            json.key("body")
            json.base64(body)
        }
        json.field("maxRetries", record.retries)
        json.field("timeout", Saturating.multiply(record.timeout.map(Int64.init) ?? limits.maxTimeout, 1000))
        json.field("queueName", ifAny: record.queue)
        json.field("scheduleId", ifAny: record.schedule)
        json.field("callerIP", record.callerIP)
        MessageView.write(record.callback, "callback", "Headers", of: record, to: &json)
        MessageView.write(record.failureCallback, "failureCallback", "Headers", of: record, to: &json)
        json.field("retryDelayExpr", ifAny: record.retryDelay)
        json.field("retryDelayExpression", ifAny: record.retryDelay)
        MessageView.writeFlowAndLabels(record, to: &json)
    }
}
