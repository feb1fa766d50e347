import Domain
import Testing

@Suite struct TraceContextTests {
    static let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func validParents() {
        #expect(TraceContext(parent: Self.parent, state: "a=1")?.state == "a=1")
        #expect(TraceContext(parent: "cc" + Self.parent.dropFirst(2) + "-what-the-future-brings") != nil)
        let wrong = [
            "", "00", Self.parent + "0", Self.parent + "-more", "ff" + Self.parent.dropFirst(2),
            Self.parent.uppercased(),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-001", "cc" + Self.parent.dropFirst(2) + "x",
            "0g" + Self.parent.dropFirst(2), Self.parent.replacing("-", with: "_"),
        ]
        for text in wrong { #expect(TraceContext(parent: text) == nil, "\(text)") }
    }

    func publish(_ headers: [HeaderField]) throws -> NewMessage {
        try PublishRequest.parse(
            destination: .url("https://example.com"), headers: headers, body: [],
            context: PublishContext(
                version: .v2, now: Timestamp(milliseconds: 1), callerIP: "::1", policy: AddressPolicy())
        ).messages()[0]
    }

    func sent(_ message: NewMessage) throws -> [String: String] {
        let record = try MessageRecord.decode(message.record.encode())
        let list = DeliveryHeaders.list(
            for: Message(id: message.id, record: record, body: []), signature: "", region: nil)
        return Dictionary(list.map { ($0.name.lowercased(), $0.value) }) { $0 + "," + $1 }
    }

    @Test func itIsSentWithEachDeliveryAndToTheCallbacks() throws {
        let message = try publish([
            ("Traceparent", Self.parent), ("tracestate", "a=1"), ("TraceState", " b=2 "),
            ("Upstash-Callback", "https://example.com/cb"),
        ])
        let headers = try sent(message)
        #expect(headers["traceparent"] == Self.parent && headers["tracestate"] == "a=1,b=2")
        let source = Message(id: message.id, record: message.record, body: [])
        let step = NextStep.after(.response(status: 200), of: source, at: Timestamp(milliseconds: 2), dlqId: "1-1")
        #expect(try sent(try #require(step.callbacks.first))["traceparent"] == Self.parent)
    }

    @Test func aForwardedOneWinsAndAnInvalidOneIsIgnored() throws {
        let other = Self.parent.replacing("-01", with: "-00")
        let forwarded = try sent(try publish([("traceparent", Self.parent), ("Upstash-Forward-Traceparent", other)]))
        #expect(forwarded["traceparent"] == other)
        #expect(try sent(try publish([("traceparent", "00-1-2-3"), ("tracestate", "a=1")]))["traceparent"] == nil)
        let once: HeaderField = ("traceparent", Self.parent)
        #expect(try sent(try publish([once, once]))["traceparent"] == nil)
        #expect(try publish([("Upstash-Cron", "* * * * *"), once]).record.trace == nil)
    }
}
