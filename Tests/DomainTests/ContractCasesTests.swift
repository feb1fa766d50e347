import Domain
import Foundation
import TestSupport
import Testing

/// Every table of the contract's `cases.json` that concerns what is built.
@Suite struct ContractCasesTests {
    struct DurationCase: Decodable {
        let `in`: String
        let seconds: Int64?
        let error: Bool?
    }

    @Test func durations() throws {
        let cases = try Contract.cases("durations", as: DurationCase.self)
        #expect(cases.count == 25)
        for one in cases { #expect(DurationText.parse(one.in) == one.seconds, "\(one.in)") }
    }

    struct NotBeforeCase: Decodable {
        let `in`: String
        let nowMs: Int64
        let maxDelaySeconds: Int64
        let notBeforeMs: Int64?
        let status: Int?
    }

    @Test func notBefore() throws {
        let cases = try Contract.cases("notBefore", as: NotBeforeCase.self)
        #expect(cases.count == 9)
        for one in cases {
            let now = Timestamp(milliseconds: one.nowMs)
            do throws(NotBefore.Fault) {
                let time = try NotBefore.parse(one.in, now: now, maxDelay: one.maxDelaySeconds)
                #expect(time.milliseconds == one.notBeforeMs, "\(one.in)")
            } catch {
                #expect(one.status == (error == .tooFar ? 412 : 400), "\(one.in)")
            }
        }
    }

    struct ExpressionCase: Decodable {
        let `in`: String
        let ms: [Int64?]?
        let error: Bool?
    }

    @Test func retryDelayExpressions() throws {
        let cases = try Contract.cases("retryDelayExpressions", as: ExpressionCase.self)
        #expect(cases.count == 32)
        for one in cases {
            guard let expected = one.ms else {
                #expect(throws: RetryDelayExpression.Fault.self, "\(one.in)") { try RetryDelayExpression(one.in) }
                continue
            }
            let expression = try RetryDelayExpression(one.in)
            for (retried, ms) in expected.enumerated() {
                let delay = expression.evaluate(retried: retried) ?? Backoff.delay(retry: Int64(retried) + 1)
                #expect(delay == ms, "\(one.in) at \(retried)")
            }
        }
    }

    struct BackoffCase: Decodable {
        let n: Int64
        let ms: Int64
    }

    @Test func defaultBackoff() throws {
        let cases = try Contract.cases("defaultBackoff", as: BackoffCase.self)
        #expect(cases.count == 6)
        for one in cases { #expect(Backoff.delay(retry: one.n) == one.ms, "\(one.n)") }
    }

    struct RetryAfterCase: Decodable {
        let `in`: String
        let nowMs: Int64
        let delayMs: Int64?
    }

    @Test func retryAfter() throws {
        let cases = try Contract.cases("retryAfter", as: RetryAfterCase.self)
        #expect(cases.count == 21)
        for one in cases {
            #expect(RetryAfter.parse(one.in, now: Timestamp(milliseconds: one.nowMs)) == one.delayMs, "\(one.in)")
        }
    }

    struct FlowCase: Decodable {
        struct Out: Decodable {
            let parallelism: Int?
            let rate: Int?
            let period: Int
        }
        let `in`: String
        let out: Out?
    }

    @Test func flowControlValues() throws {
        let cases = try Contract.cases("flowControlValue", as: FlowCase.self)
        #expect(cases.count == 19)
        for one in cases {
            let flow = try? FlowControl.parse(key: "k", value: one.in)
            let expected = one.out.map {
                FlowControl(key: "k", parallelism: $0.parallelism, rate: $0.rate, period: $0.period)
            }
            #expect(flow == expected, "\(one.in)")
        }
    }

    struct LabelCase: Decodable {
        let `in`: String
        let labels: [String]
    }

    @Test func labels() throws {
        let cases = try Contract.cases("labels", as: LabelCase.self)
        #expect(cases.count == 6)
        for one in cases { #expect(Labels.parse(one.in) == one.labels, "\(one.in)") }
    }

    struct DestinationCase: Decodable {
        struct Out: Decodable {
            let url: String?
            let urlGroup: String?
            let token: String?
            let config: [[String]]?
            let error: String?
            let status: Int?
        }
        let target: String
        let out: Out
    }

    @Test func destinations() throws {
        let cases = try Contract.cases("destinations", as: DestinationCase.self)
        #expect(cases.count == 23)
        for one in cases {
            do throws(RequestError) {
                let parsed = try DestinationParser.parse(remainder: one.target.dropFirst("/v2/publish/".count))
                switch parsed.destination {
                case .url(let url): #expect(url == one.out.url, "\(one.target)")
                case .topic(let name): #expect(name == one.out.urlGroup, "\(one.target)")
                }
                #expect(parsed.token == one.out.token, "\(one.target)")
                #expect(parsed.query.map { [$0.name, $0.value] } == one.out.config ?? [], "\(one.target)")
            } catch {
                #expect(error.status == one.out.status, "\(one.target)")
                #expect(String(decoding: error.body, as: UTF8.self).contains(one.out.error ?? "?"), "\(one.target)")
            }
        }
    }

    struct HeaderNameCase: Decodable {
        let `in`: String
        let out: String
    }

    @Test func headerNames() throws {
        let cases = try Contract.cases("headerNames", as: HeaderNameCase.self)
        #expect(cases.count == 6)
        for one in cases { #expect(HeaderName.canonical(one.in) == one.out) }
    }

    struct BooleanCase: Decodable {
        let `in`: String
        let out: Bool?
    }

    @Test func booleans() throws {
        let cases = try Contract.cases("booleans", as: BooleanCase.self)
        #expect(cases.count == 9)
        for one in cases { #expect(Booleans.parse(one.in) == one.out, "\(one.in)") }
    }

    struct JWTCase: Decodable {
        let name: String
        let key: String
        let url: String
        let bodyBase64: String
        let iat: Int64
        let jti: String
        let token: String
    }

    @Test func signatures() throws {
        let cases = try Contract.cases("jwt", as: JWTCase.self)
        #expect(cases.count == 6)
        for one in cases {
            let body = Array(Data(base64Encoded: one.bodyBase64) ?? Data())
            let now = Timestamp(seconds: one.iat)
            #expect(
                Signer(key: one.key).token(url: one.url, body: body, now: now, jti: one.jti) == one.token, "\(one.name)"
            )
            let verifier = SignatureVerifier(keys: SigningKeys(current: one.key, next: "other"))
            try verifier.verify(one.token, url: one.url, body: body, now: now)
            #expect(throws: SignatureVerifier.Fault.bodyHash) {
                try verifier.verify(one.token, url: one.url, body: body + [1], now: now)
            }
            #expect(throws: SignatureVerifier.Fault.key) {
                try SignatureVerifier(keys: SigningKeys(current: "x", next: "y")).verify(
                    one.token, url: nil, body: body, now: now)
            }
        }
    }
}
