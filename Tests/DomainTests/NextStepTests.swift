import Domain
import Testing

/// What follows an attempt, and numbers beyond every range.
@Suite struct NextStepTests {
    static let now = Timestamp(milliseconds: 1_735_689_600_000)

    static func message(retries: Int = 3, retried: Int = 0, retryDelay: String? = nil) -> Message {
        let record = MessageRecord(
            url: "https://example.com", retries: retries, retryDelay: retryDelay,
            callback: nil, callerIP: "127.0.0.1", createdAt: now, notBefore: now)
        return Message(id: MessageID("msg_1"), record: record, body: [], retried: retried)
    }

    func decision(_ outcome: Outcome, _ message: Message) -> NextStep.Decision {
        NextStep.after(outcome, of: message, at: Self.now, dlqId: "1-1").decision
    }

    @Test func onlyTwoHundredsDeliver() {
        for status in [200, 201, 204, 299] {
            #expect(decision(.response(status: status), Self.message()) == .delivered)
        }
        for status in [100, 199, 300, 301, 304, 400, 404, 429, 500, 503, 489] {
            #expect(decision(.response(status: status), Self.message()) != .delivered, "\(status)")
        }
    }

    @Test func theLastAttemptMakesADeadLetter() {
        #expect(decision(.response(status: 500), Self.message(retries: 2, retried: 2)) == .dead(dlqId: "1-1"))
        #expect(decision(.noResponse(reason: "timeout"), Self.message(retries: 0)) == .dead(dlqId: "1-1"))
        #expect(
            decision(.response(status: 500), Self.message(retries: 2, retried: 1))
                == .retry(at: Self.now.adding(milliseconds: 148_413)))
    }

    @Test func nonRetryableNeedsStatusAndHeader() {
        let both = Outcome.response(status: 489, headers: ["upstash-nonretryable-error": "true"])
        #expect(decision(both, Self.message()) == .dead(dlqId: "1-1"))
        #expect(decision(.response(status: 489), Self.message()) != .dead(dlqId: "1-1"))
        let wrongStatus = Outcome.response(status: 400, headers: ["Upstash-NonRetryable-Error": "true"])
        #expect(decision(wrongStatus, Self.message()) != .dead(dlqId: "1-1"))
    }

    /// `pow(10,400)` is legal: it has no finite value, so the default backoff counts.
    @Test func anInfiniteExpressionMeansTheDefaultBackoff() {
        let step = decision(.response(status: 500), Self.message(retryDelay: "pow(10,400)"))
        #expect(step == .retry(at: Self.now.adding(milliseconds: 12_182)))
    }

    @Test func timesNeverTrap() {
        #expect(Timestamp(milliseconds: .max).adding(seconds: .max).milliseconds == .max)
        #expect(Timestamp(seconds: .max).milliseconds == .max)
        #expect(DurationText.parse("99999999999999999999999999d") == .max)
    }

    @Test func iso8601() {
        #expect(Timestamp(milliseconds: 0).iso8601 == "1970-01-01T00:00:00.000Z")
        #expect(Timestamp(milliseconds: 1_709_164_799_999).iso8601 == "2024-02-28T23:59:59.999Z")
        #expect(Timestamp(milliseconds: 1_709_164_800_000).iso8601 == "2024-02-29T00:00:00.000Z")
        #expect(Timestamp(milliseconds: -1).iso8601 == "1969-12-31T23:59:59.999Z")
    }
}
