import Domain
import TestSupport
import Testing

@Suite struct RedactionTests {
    struct Case: Decodable {
        struct Out: Decodable {
            let body: Bool
            let allHeaders: Bool
            let headers: [String]
        }
        let `in`: String
        let out: Out?
    }

    @Test func redactFields() throws {
        let cases = try Contract.cases("redactFields", as: Case.self)
        #expect(cases.count == 14)
        for one in cases {
            let expected = one.out.map { Redaction(body: $0.body, allHeaders: $0.allHeaders, headers: $0.headers) }
            #expect(Redaction(one.in) == expected, "\(one.in)")
        }
    }

    /// Story: of two lines the second was ignored, and what it named was shown.
    @Test func severalLinesAreOneList() throws {
        let now = Timestamp(milliseconds: 1_735_689_600_000)
        let context = PublishContext(version: .v2, now: now, callerIP: "::1", policy: AddressPolicy())
        func redaction(_ headers: [HeaderField], query: [HeaderField] = []) throws -> Redaction? {
            try PublishRequest.parse(
                destination: .url("https://example.com"), headers: headers, query: query, body: [], context: context
            ).settings.redaction
        }
        let lines: [HeaderField] = [("Upstash-Redact-Fields", "body"), ("upstash-redact-fields", "header[X-Key]")]
        #expect(try redaction(lines, query: [("upstash-redact-fields", "header")]) == Redaction("body,header[X-Key]"))
        #expect(throws: RequestError.self) { try redaction(lines + [("Upstash-Redact-Fields", "zz")]) }
    }

    /// Story: headers for the callback were hidden on the source and shown on the callback message.
    @Test func aCallbackHidesWhatItsSourceHides() throws {
        let now = Timestamp(milliseconds: 1_735_689_600_000)
        var record = MessageRecord(
            url: "https://example.com",
            callback: CallbackSettings(url: "https://example.com/cb", header: ["X-Key": "secret"]),
            callerIP: "::1", createdAt: now, notBefore: now)
        record.redaction = Redaction("header[x-key]")
        let message = Message(id: MessageID("msg_1"), record: record, body: Array("hidden".utf8))
        let step = NextStep.after(.response(status: 200), of: message, at: now, dlqId: "1-1")
        let callback = try #require(step.callbacks.first)
        let view = String(
            decoding: MessageView.json(of: Message(id: callback.id, record: callback.record, body: callback.body)),
            as: UTF8.self)
        #expect(!view.contains("secret") && view.contains(#""body":"REDACTED:"#))
        #expect(callback.record.header["X-Key"] == ["secret"])
    }

    /// Story: a retry of a dead letter that asked for another redaction lifted the one it had.
    @Test func aRetryHidesMoreAndNeverLess() throws {
        let now = Timestamp(milliseconds: 1_735_689_600_000)
        var record = MessageRecord(url: "https://example.com", callerIP: "::1", createdAt: now, notBefore: now)
        record.redaction = Redaction("body")?.sealing(Array("secret".utf8))
        let context = PublishContext(version: .v2, now: now, callerIP: "::1", policy: AddressPolicy())
        let (new, _) = try PublishRequest.retry(
            of: record, body: [], headers: [("Upstash-Redact-Fields", "header[X-Key]")], context: context)
        #expect(new.redaction?.hidesBody == true && new.redaction?.headers == ["X-Key"])
        #expect(new.redaction?.bodyDigest == record.redaction?.bodyDigest)
    }

    /// A record keeps what it hides, and the digest of a body the log does not keep.
    @Test func aRecordKeepsItsRedaction() throws {
        let now = Timestamp(milliseconds: 1_735_689_600_000)
        var record = MessageRecord(url: "https://example.com", callerIP: "::1", createdAt: now, notBefore: now)
        record.redaction = Redaction("body,header[x-key]")?.sealing(Array("secret".utf8))
        #expect(try MessageRecord.decode(record.encode()) == record)
        #expect(record.bodyMark([]) == record.bodyMark(Array("secret".utf8)))
        record.redaction = Redaction("body")?.sealing([])
        #expect(record.bodyMark([]) == nil)
    }
}
