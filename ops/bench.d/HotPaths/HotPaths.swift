/// The pure parts of a message's way through the server, one at a time, so that callgrind can count their instructions:
/// `HotPaths NAME COUNT` runs one so often, `HotPaths` alone lists their names. `ops/bench paths` counts and compares.

import Domain
import Engine
import HTTPAPI
import RedisLink

@main
enum HotPaths {
    static func main() throws {
        let paths = try all()
        guard CommandLine.arguments.count == 3, let count = Int(CommandLine.arguments[2]),
            let path = paths.first(where: { $0.name == CommandLine.arguments[1] })
        else { return paths.forEach { print($0.name) } }
        for _ in 0..<count { try path.run() }
    }

    struct Path {
        var name: String
        var run: () throws -> Void
    }

    /// Keeps the optimiser from dropping what nobody reads.
    @inline(never) static func use<Value>(_ value: Value) {}

    static func all() throws -> [Path] {
        let samples = try Samples()
        return [
            Path(name: "find-route") { use(Route.find("POST", Samples.target)) },
            Path(name: "parse-publish") { use(try samples.publish(Samples.headers)) },
            Path(name: "parse-publish-20-headers") { use(try samples.publish(Samples.manyHeaders)) },
            Path(name: "messages-of-publish") { use(samples.request.messages()) },
            Path(name: "encode-record") { use(samples.record.encode()) },
            Path(name: "decode-record") { use(try MessageRecord.decode(samples.recordBytes)) },
            Path(name: "sign") {
                use(samples.signer.token(url: samples.record.url, body: Samples.body, now: Samples.now))
            },
            Path(name: "delivery-headers") {
                use(DeliveryHeaders.list(for: samples.message, signature: "signature", region: nil))
            },
            Path(name: "response-headers") { use(HeaderMap(Samples.responseHeaders)) },
            Path(name: "next-step-delivered") { use(samples.step(of: samples.message, Samples.success)) },
            Path(name: "next-step-retry") { use(samples.step(of: samples.message, Samples.failure)) },
            Path(name: "next-step-callback") { use(samples.step(of: samples.messageWithCallback, Samples.success)) },
            Path(name: "encode-command") { use(RedisCommand(parts: samples.command)) },
            Path(name: "read-claim") { use(samples.readClaim()) },
            Path(name: "lane-kind") { use(samples.claimed.laneKind) },
        ]
    }
}

/// One message of 1 KB on its way, and what surrounds it.
struct Samples {
    static let now = Timestamp(milliseconds: 1_790_000_000_000)
    static let target = "/v2/publish/https://example.com/hook?a=b"
    static let body = [UInt8](repeating: UInt8(ascii: "x"), count: 1024)
    static let headers: [HeaderField] = [
        ("Host", "127.0.0.1:8080"), ("Authorization", "Bearer 0123456789abcdef"), ("Content-Type", "application/json"),
        ("Content-Length", "1024"), ("User-Agent", "curl/8"), ("Upstash-Retries", "5"),
        ("Upstash-Forward-X-Tenant", "blue"),
    ]
    static let manyHeaders: [HeaderField] =
        headers + [
            ("Upstash-Method", "PUT"), ("Upstash-Delay", "10s"), ("Upstash-Timeout", "30s"),
            ("Upstash-Label", "nightly"),
            ("Upstash-Callback", "https://example.com/done"), ("Upstash-Callback-Forward-X-Tenant", "blue"),
            ("Upstash-Failure-Callback", "https://example.com/failed"), ("Upstash-Forward-Cookie", "a=b"),
            ("Upstash-Flow-Control-Key", "tenant"), ("Upstash-Flow-Control-Value", "parallelism=5, rate=10, period=1m"),
            ("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("X-Request-Id", "0123456789"),
        ]
    static let responseHeaders: [HeaderField] = [
        ("Content-Type", "text/plain"), ("Content-Length", "2"), ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
        ("Connection", "keep-alive"),
    ]
    static let success = Outcome.response(status: 200, headers: HeaderMap(responseHeaders), body: Array("ok".utf8))
    static let failure = Outcome.response(status: 500, headers: HeaderMap(responseHeaders), body: Array("no".utf8))

    let context = PublishContext(
        version: .v2, now: now, callerIP: "127.0.0.1", policy: AddressPolicy(allowsPrivate: true))
    let request: PublishRequest
    let record: MessageRecord
    let recordBytes: [UInt8]
    let message: Message
    let messageWithCallback: Message
    let claimed: ClaimedMessage
    let signer = Signer(key: "sig_0123456789012345678901234567")
    let command: [RedisPart]
    let claimReply: [UInt8]

    init() throws {
        let destination = try DestinationParser.parse(remainder: "https://example.com/hook?a=b").destination
        func parse(_ headers: [HeaderField]) throws -> PublishRequest {
            try PublishRequest.parse(
                destination: destination, headers: headers, body: Samples.body,
                context: PublishContext(
                    version: .v2, now: Samples.now, callerIP: "127.0.0.1", policy: AddressPolicy(allowsPrivate: true)))
        }
        request = try parse(Samples.headers)
        let made = request.messages()[0]
        record = made.record
        recordBytes = record.encode()
        message = Message(id: made.id, record: record, body: Samples.body)
        let rich = try parse(Samples.manyHeaders).messages()[0]
        messageWithCallback = Message(id: rich.id, record: rich.record, body: Samples.body)
        let place = "roost:{0}:lane:host:example.com 1234567-0"
        claimed = ClaimedMessage(
            id: made.id.text, place: place, retried: 0, reclaimed: 0, request: recordBytes, body: Samples.body,
            due: Samples.now.milliseconds)
        command =
            [.text("EVALSHA"), .text("0123456789012345678901234567890123456789"), .integer(1), .text("roost:{0}")]
            + (0..<16).flatMap { _ in
                [
                    RedisPart.text(made.id.text), .text("host:example.com"), .integer(Samples.now.milliseconds),
                    .bytes(made.record.encode()), .text(""), .bytes(Samples.body),
                ]
            }
        var reply = Array("*19\r\n$2\r\nok\r\n$0\r\n\r\n:0\r\n".utf8)
        for _ in 0..<16 {
            reply += Array("*7\r\n".utf8)
            for word in [
                Array(made.id.text.utf8), Array(place.utf8), [48], [48], recordBytes, Samples.body,
                Array("1790000000000".utf8),
            ] {
                reply += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8)
            }
        }
        claimReply = reply
    }

    func publish(_ headers: [HeaderField]) throws -> PublishRequest {
        let parsed = try DestinationParser.parse(remainder: "https://example.com/hook?a=b")
        return try PublishRequest.parse(
            destination: parsed.destination, headers: headers, query: parsed.query, body: Samples.body, context: context
        )
    }

    func step(of message: Message, _ outcome: Outcome) -> NextStep {
        NextStep.after(outcome, of: message, at: Samples.now, dlqId: "1790000000000-1")
    }

    func readClaim() -> Int {
        var count = 0
        let reader = RedisReplyReader()
        _ = claimReply.withUnsafeBytes { reader.read($0) { count += Claimer.messages(in: $0.array ?? []).count } }
        return count
    }
}
