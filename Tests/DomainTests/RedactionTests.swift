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
