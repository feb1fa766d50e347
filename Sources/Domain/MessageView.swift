// The JSON of GET /v2/messages/{id} (contract messages.md §1); a dead letter adds its own fields to the same ones.

package enum MessageView {
    package static func json(of message: Message) -> [UInt8] {
        var json = JSONText(capacity: 512 + message.body.count)
        json.object { json in write(message, to: &json) }
        return json.bytes
    }

    /// The last answer a dead letter's destination gave.
    package struct DeadLetter: Sendable, Hashable {
        package var dlqId: String
        /// 0 without a response.
        package var status: Int
        /// nil without a response.
        package var header: HeaderMap?
        package var body: [UInt8]

        package init(dlqId: String, status: Int, header: HeaderMap?, body: [UInt8]) {
            self.dlqId = dlqId
            self.status = status
            self.header = header
            self.body = body
        }
    }

    /// Contract dlq.md §1.
    ///
    /// - `trimBody`: bytes that bodies are cut to.
    package static func write(
        _ message: Message, dead: DeadLetter, to json: inout JSONText, _ trimBody: Int? = nil
    ) {
        func trimmed(_ body: [UInt8]) -> [UInt8] {
            trimBody.map { UTF8Text.withoutCutCharacter(Array(body.prefix($0))) } ?? body
        }
        var message = message
        // A hidden body is told by the digest of the whole of it.
        if message.record.redaction?.hidesBody != true { message.body = trimmed(message.body) }
        json.object { json in
            write(message, to: &json)
            json.field("dlqId", dead.dlqId)
            json.field("responseStatus", dead.status)
            if let header = dead.header { json.field("responseHeader", header) }
            json.body("responseBody", trimmed(dead.body))
        }
    }

    private static func write(_ message: Message, to json: inout JSONText) {
        let record = message.record
        json.field("messageId", message.id.text)
        json.field("topicName", ifAny: record.topic)
        json.field("endpointName", ifAny: record.endpoint)
        json.field("url", record.url)
        json.field("method", record.method.rawValue)
        json.field("header", record.shown(record.shownHeader))
        if let mark = record.bodyMark(message.body) {
            json.field("body", mark)
        } else {
            json.body("body", message.body)
        }
        json.field("maxRetries", record.retries)
        json.field("retryDelayExpression", ifAny: record.retryDelay)
        json.field("timeout", ifAny: record.timeout)
        json.field("notBefore", record.notBefore)
        json.field("createdAt", record.createdAt)
        json.field("queueName", ifAny: record.queue)
        json.field("scheduleId", ifAny: record.schedule)
        writeCallbacks(record, to: &json)
        // Both spellings: answers use the first, filters the second.
        json.field("callerIP", record.callerIP)
        json.field("callerIp", record.callerIP)
        writeFlowAndLabels(record, to: &json)
    }

    static func writeFlowAndLabels(_ record: MessageRecord, to json: inout JSONText) {
        if let flowControl = record.flowControl {
            json.field("flowControlKey", flowControl.key)
            json.field("parallelism", ifAny: flowControl.parallelism)
            json.field("rate", ifAny: flowControl.rate)
            json.field("period", flowControl.period)
        }
        json.field("label", ifAny: record.labels.first)
        json.field("labels", ifAny: record.labels)
    }

    static func writeCallbacks(_ record: MessageRecord, to json: inout JSONText) {
        write(record.callback, "callback", "Header", of: record, to: &json)
        write(record.failureCallback, "failureCallback", "Header", of: record, to: &json)
    }

    /// - Parameter suffix: of the field for forwarded headers: `Header`, in logs `Headers`.
    static func write(
        _ settings: CallbackSettings?, _ name: String, _ suffix: String, of record: MessageRecord,
        to json: inout JSONText
    ) {
        guard let settings else { return }
        json.field(name, settings.url)
        if !settings.header.isEmpty { json.field(name + suffix, record.shown(settings.header)) }
    }
}
