import Domain
import Foundation
import TestSupport
import Testing

/// The bodies the world sees, compared with the contract's golden examples as JSON values.
@Suite struct GoldenBodyTests {
    static let created = Timestamp(milliseconds: 1_735_689_600_000)
    static let id = MessageID("msg_26hZCxZCuWyyTWPmSVBrNB882AExample1")

    static func order(version: APIVersion = .v2, fromTopic: Bool = false, retried: Int = 1) -> Message {
        let record = MessageRecord(
            url: fromTopic ? "https://a.example.com/hook" : "https://example.com/api/orders",
            header: ["Content-Type": "application/json", "X-Tenant": "acme"],
            topic: fromTopic ? "my-url-group" : nil, endpoint: fromTopic ? "First endpoint" : nil,
            schedule: fromTopic ? "scd_7LeTmW3dExampleSchedule0001" : nil, retries: 3, version: version,
            callerIP: "203.0.113.7", createdAt: created, notBefore: created)
        return Message(id: id, record: record, body: Array(#"{"orderId":42}"#.utf8), retried: retried)
    }

    static let success = Outcome.response(
        status: 200, headers: ["Content-Type": "application/json", "X-Request-Id": "r-1"],
        body: Array(#"{"ok":true}"#.utf8))

    func expect(
        _ message: Message, _ outcome: Outcome, is example: String, format: CallbackFormat = .observed,
        dlqId: String? = nil
    ) throws {
        let body = CallbackEnvelope(message: message, outcome: outcome, format: format).encode(dlqId: dlqId)
        #expect(try Contract.value(body) == Contract.value(try Contract.bytes(example)), "\(example)")
    }

    @Test func callbackEnvelopes() throws {
        try expect(Self.order(version: .v1), Self.success, is: "callback-v1")
        try expect(Self.order(), Self.success, is: "callback-v2")
        try expect(Self.order(retried: 0), Self.success, is: "callback-v2-first-attempt")
        try expect(Self.order(), .noResponse(reason: "connection refused"), is: "callback-v2-no-response")
        try expect(Self.order(), Self.success, is: "callback-v2-documented", format: .documented)
        try expect(Self.order(fromTopic: true), Self.success, is: "callback-v2-url-group-schedule")
    }

    @Test func failureCallbackEnvelopes() throws {
        let boom = Outcome.response(status: 500, headers: ["Content-Type": "text/plain"], body: Array("boom".utf8))
        try expect(Self.order(fromTopic: true, retried: 3), boom, is: "failure-callback-v2", dlqId: "1735689605123-0")
        let refused = Outcome.response(
            status: 489, headers: ["Upstash-NonRetryable-Error": "true"], body: Array("bad payload".utf8))
        #expect(refused.isNonRetryable)
        try expect(Self.order(retried: 0), refused, is: "failure-callback-v2-non-retryable", dlqId: "1735689605123-0")
    }

    @Test func messageViews() throws {
        let minimal = MessageRecord(
            url: "http://example.com", callerIP: "203.0.113.7", createdAt: Self.created, notBefore: Self.created)
        let view = MessageView.json(
            of: Message(id: MessageID("msg_26hZCxZCuWyyTWPmSVBrNB882AExample2"), record: minimal, body: []))
        #expect(try Contract.value(view) == Contract.value(try Contract.bytes("message-minimal")))
    }

    @Test func aRecordSurvivesItsEncoding() throws {
        for message in [Self.order(), Self.order(fromTopic: true), Self.order(version: .v1)] {
            #expect(try MessageRecord.decode(message.record.encode()) == message.record)
        }
    }

    struct Request: Decodable {
        let name: String
        let url: String
        let method: String
        let body: String
        let headers: [String: String]
    }

    @Test func deliveryRequests() throws {
        let cases = try JSONDecoder().decode([Request].self, from: Data(try Contract.bytes("delivery-requests")))
        let one = try #require(cases.first)
        let message = Self.order(fromTopic: true)
        let signature = Signer(key: "sig_contractCurrentKey0000000001").token(
            url: one.url, body: message.body, now: Timestamp(milliseconds: 1_735_689_601_000), jti: "jwt_example_1")
        var sent: [String: String] = ["Content-Length": String(message.body.count)]
        for (name, value) in DeliveryHeaders.list(for: message, signature: signature, region: "EU-CENTRAL-1") {
            sent[name] = value
        }
        #expect(sent == one.headers)
    }
}

extension GoldenBodyTests {
    @Test func scheduleViews() throws {
        let template = MessageRecord(
            url: "https://example.com/daily", header: ["Content-Type": "application/json", "X-Tenant": "acme"],
            queue: "my-queue", schedule: "scd_7LeTmW3dExampleSchedule0001", retries: 3,
            retryDelay: "1000 * (1 + retried)", timeout: 120,
            callback: CallbackSettings(url: "https://example.com/cb", header: ["X-Trace": "t-1"]),
            failureCallback: CallbackSettings(url: "https://example.com/failed"), labels: ["nightly"],
            flowControl: FlowControl(key: "tenant-acme", parallelism: 2), callerIP: "203.0.113.7",
            createdAt: Self.created, notBefore: Self.created)
        let schedule = Schedule(
            id: "scd_7LeTmW3dExampleSchedule0001", cron: "CRON_TZ=America/New_York 0 4 * * *", template: template,
            body: Array(#"{"report":"daily"}"#.utf8), delay: 30, createdAt: Self.created,
            next: Timestamp(milliseconds: 1_741_593_600_000), last: Timestamp(milliseconds: 1_741_507_200_041),
            states: [
                ("msg_26hZCxZCuWyyTWPmSVBrNB882AExample1", .success),
                ("msg_26hZCxZCuWyyTWPmSVBrNB882AExample2", .inProgress),
                ("msg_26hZCxZCuWyyTWPmSVBrNB882AExample3", .fail),
            ])
        #expect(try Contract.value(schedule.json(now: Self.created)) == Contract.value(try Contract.bytes("schedule")))
        #expect(
            try Contract.value(Schedule.json(list: [schedule], now: Self.created))
                == Contract.value(try Contract.bytes("schedules")))
        let paused = Schedule(
            id: "my.schedule-1", cron: "*/10 * * * *",
            template: MessageRecord(
                url: "", method: .get, topic: "my-url-group", callerIP: "203.0.113.7", createdAt: Self.created,
                notBefore: Self.created),
            body: [], delay: nil, createdAt: Self.created, isPaused: true, next: Self.created)
        #expect(
            try Contract.value(paused.json(now: Self.created)) == Contract.value(try Contract.bytes("schedule-new")))
    }
}
