import ArgumentParser
import Domain
import Foundation
import Testing

@testable import roost

@Suite struct SafeTextTests {
    @Test func nothingATerminalObeysComesThrough() {
        #expect(
            SafeText.line("a\u{1B}[2Jb\nc\td\u{9B}1m\u{202E}e\u{7F}") == #"a\u{1B}[2Jb\nc\td\u{9B}1m\u{202E}e\u{7F}"#)
        #expect(SafeText.line("żółć 漢字 👍") == "żółć 漢字 👍")
    }

    @Test func jsonStaysTheSameValue() throws {
        let bytes = Array("{\"a\":\"x\u{9B}2J\u{202E}y\u{7F}\",\"b\":[1,\"漢\"]}\n".utf8)
        let safe = SafeText.json(bytes)
        #expect(String(decoding: safe, as: UTF8.self) == #"{"a":"x\u009b2J\u202ey\u007f","b":[1,"漢"]}"# + "\n")
        #expect(try JSONValue.read(safe) == JSONValue.read(bytes))
    }

    @Test func widthCountsColumns() {
        #expect(SafeText.width("abc") == 3)
        #expect(SafeText.width("漢字") == 4)
        #expect(SafeText.width("e\u{301}") == 1)
        #expect(SafeText.cut("abcdef", to: 4) == "abc…")
        #expect(SafeText.cut("abcd", to: 4) == "abcd")
        #expect(SafeText.cut("漢字漢字", to: 4) == "漢…")
        #expect(SafeText.cut("abc", to: 0) == "")
        #expect(SafeText.cutInside("https://example.com/a/b", to: 12) == "htt….com/a/b")
        for limit in 0...30 {
            #expect(SafeText.width(SafeText.cutInside("https://例え.example.com/漢字", to: limit)) <= limit)
        }
    }
}

@Suite struct TextTableTests {
    static let table: TextTable = {
        var table = TextTable([
            .init(title: "ID", least: nil), .init(title: "N", isRight: true, least: nil),
            .init(title: "URL", least: 10, isURL: true),
            .init(title: "NOTE", least: 6),
        ])
        table.rows = [
            ["msg_0123456789", "7", "https://example.com/a/long/path/to/somewhere", "some remark"],
            ["msg_1", "1234", Cell("x\u{1B}[31m"), ""],
        ]
        return table
    }()

    @Test(arguments: [1, 5, 20, 39, 40, 41, 60, 79, 80, 200])
    func everyLineFits(_ width: Int) {
        let lines = Self.table.lines(width: width)
        #expect(lines.count == 3)
        for line in lines {
            #expect(SafeText.width(line) <= width)
            #expect(!line.contains("\u{1B}"))
        }
    }

    @Test func idsStayWholeWhileOthersGive() {
        let lines = Self.table.lines(width: 44)
        #expect(lines[1].hasPrefix("msg_0123456789     7  ht…"))
        #expect(lines[1].contains("…"))
    }

    @Test func withoutATerminalNothingIsCut() {
        #expect(
            Self.table.lines(width: nil) == [
                "ID                 N  URL                                           NOTE",
                "msg_0123456789     7  https://example.com/a/long/path/to/somewhere  some remark",
                #"msg_1           1234  x\u{1B}[31m"#,
            ])
    }

    @Test func colourAddsNoWidth() {
        let plain = Self.table.lines(width: 60)
        let painted = Self.table.lines(width: 60, paint: Terminal(width: 60, hasColour: true).paint)
        #expect(painted != plain)
        #expect(painted.map { $0.replacing(/\u{1B}\[\d+m/, with: "") } == plain)
    }
}

@Suite struct TimeTextTests {
    let clock = TimeText(now: Timestamp(seconds: 1_800_000_000), zone: TimeZone(identifier: "America/New_York") ?? .gmt)

    @Test(
        arguments: [
            (0, "now"), (999, "now"), (1000, "in 1s"), (-59_999, "59s ago"), (90_000, "in 1m"), (-7_200_000, "2h ago"),
            (172_800_000, "in 2d"),
        ] as [(Int64, String)])
    func relative(_ offset: Int64, _ text: String) {
        #expect(clock.relative(Timestamp(milliseconds: 1_800_000_000_000 + offset)) == text)
    }

    @Test(arguments: [Int64.min, Int64.max, -1, 253_402_300_800_000])
    func anyNumberIsSomeTime(_ milliseconds: Int64) {
        #expect(!clock.full(Timestamp(milliseconds: milliseconds)).isEmpty)
        #expect(!clock.precise(Timestamp(milliseconds: milliseconds)).isEmpty)
    }

    @Test func localTimes() {
        #expect(clock.full(clock.now) == "2027-01-15 03:00:00 (now)")
        let time = Timestamp(milliseconds: 1_800_000_000_007)
        #expect(clock.precise(time) == "2027-01-15 03:00:00.007")
        #expect(clock.stamp(time, width: 120) == "2027-01-15 03:00:00.007")
        #expect(clock.stamp(time, width: 80) == "03:00:00.007")
        #expect(clock.stamp(time.adding(seconds: -86_400), width: 80) == "2027-01-14 03:00:00")
    }

    @Test(
        arguments: [
            ("2027-01-15T08:00:00Z", 1_800_000_000), ("2027-01-15 03:00", 1_800_000_000),
            ("2027-01-15T09:00:00+01:00", 1_800_000_000), ("2027-01-15", 1_799_989_200), ("1800000000", 1_800_000_000),
            ("1800000000000", 1_800_000_000),
        ] as [(String, Int64)])
    func parses(_ text: String, _ seconds: Int64) {
        #expect(clock.parse(text) == Timestamp(seconds: seconds))
    }

    @Test func parsesAgoWhereItMeansSomething() {
        #expect(clock.parse("90m", ago: true) == Timestamp(seconds: 1_800_000_000 - 5400))
        #expect(clock.parse("90m") == nil)
        for text in ["", "soon", "2027-13-01", "2027-01-15T25:00:00Z", "12", "2027-01-15T08:00:00+1", "-5m"] {
            #expect(clock.parse(text, ago: true) == nil, "\(text)")
        }
    }
}

@Suite struct MessageOptionsTests {
    private func headers(_ words: String...) throws -> [String] {
        try MessageOptions.parse(words).headers().map { "\($0.name): \($0.value)" }
    }

    @Test func eachOptionIsItsHeader() throws {
        #expect(try headers() == [])
        #expect(
            try headers(
                "--delay", "1m", "--retries", "0", "--retry-delay", "retried * 1000", "--timeout", "30s", "--method",
                "put",
                "--callback", "https://a/", "--failure-callback", "https://b/", "--queue", "q", "--flow-key", "k",
                "--flow-value", "rate=1", "--dedup-id", "d", "--content-dedup", "--label", "x", "--label", "y",
                "--redact",
                "body", "--ack", "fsync", "--content-type", "text/plain", "-H", "X-A: 1", "-H", "X-A: 2",
                "--callback-header", "X-B: 3", "--failure-callback-header", "X-C:4", "--upstash", "Callback-Retries: 5")
                == [
                    "Content-Type: text/plain", "Upstash-Method: PUT", "Upstash-Delay: 1m", "Upstash-Retries: 0",
                    "Upstash-Retry-Delay: retried * 1000", "Upstash-Timeout: 30s", "Upstash-Callback: https://a/",
                    "Upstash-Failure-Callback: https://b/", "Upstash-Queue-Name: q", "Upstash-Flow-Control-Key: k",
                    "Upstash-Flow-Control-Value: rate=1", "Upstash-Deduplication-Id: d",
                    "Upstash-Content-Based-Deduplication: true", "Upstash-Label: x,y", "Upstash-Redact-Fields: body",
                    "Roost-Ack: fsync", "Upstash-Forward-X-A: 1", "Upstash-Forward-X-A: 2",
                    "Upstash-Callback-Forward-X-B: 3", "Upstash-Failure-Callback-Forward-X-C: 4",
                    "Upstash-Callback-Retries: 5",
                ])
        #expect(try headers("-H", "content-type: a/b") == ["content-type: a/b"])
    }

    @Test(arguments: [
        ["--delay", "soon"], ["--timeout", "-1"], ["--retries", "-1"], ["--retries", "x"], ["--retry-delay", "pow(2"],
        ["--flow-key", "k"], ["--flow-value", "rate=1"], ["--ack", "disk"], ["--method", "HEAD"], ["-H", "no colon"],
        ["-H", "bad name: x"], ["-H", "X: a\r\nInjected: b"], ["--label", "a\nb"], ["--upstash", ": x"],
    ])
    func whatCanNotBeIsRefused(_ words: [String]) {
        #expect(throws: (any Error).self) { try MessageOptions.parse(words) }
    }

    @Test func destinationsArriveByteForByte() throws {
        for url in ["https://a.example.com/b//c/../%2F?upstash-delay=1h&q=a+b", "https://a/ü"] {
            let parsed = try DestinationParser.parse(remainder: DestinationText.encoded(url))
            #expect(parsed.query.isEmpty)
            let expected = url.replacingOccurrences(of: "ü", with: "%C3%BC")
            #expect(parsed.destination == .url(expected))
        }
        #expect(
            try DestinationParser.parse(remainder: DestinationText.encoded("https://a/b#c")).destination
                == .url("https://a/b"))
        #expect(
            try DestinationParser.parse(remainder: DestinationText.encoded("orders.v1")).destination
                == .topic("orders.v1"))
    }
}

@Suite struct SelectionTests {
    @Test func neverAllByAccident() throws {
        #expect(throws: (any Error).self) { try Selection.read(ids: [], query: [], all: false) }
        #expect(throws: (any Error).self) { try Selection.read(ids: ["a"], query: [], all: true) }
        #expect(throws: (any Error).self) { try Selection.read(ids: [], query: [("label", "a")], all: true) }
        guard case .query(let query) = try Selection.read(ids: [], query: [], all: true), query.isEmpty else {
            Issue.record("--all alone means all")
            return
        }
    }

    @Test func zonesStandBehindTheirExpression() {
        #expect(Schedules.readable("CRON_TZ=Europe/Berlin 0 9 * * MON-FRI") == "0 9 * * MON-FRI (Europe/Berlin)")
        #expect(Schedules.readable("@daily") == "@daily")
    }

    @Test func endpointsHaveNames() {
        #expect(EndpointText.read("mail=https://a/?x=1") == ("mail", "https://a/?x=1"))
        #expect(EndpointText.read("https://a/?x=1") == (nil, "https://a/?x=1"))
    }
}

@Suite struct ProgressBarTests {
    @Test(arguments: [10, 30, 79, 200])
    func fits(_ width: Int) {
        for total in [nil, 0, 7, 100_000] as [Int?] {
            let line = ProgressBar.line("retrying", done: 5, total: total, elapsed: .seconds(2), width: width)
            #expect(SafeText.width(line) <= width)
        }
        #expect(
            ProgressBar.line("retrying", done: 50, total: 100, elapsed: .seconds(1), width: 60)
                == "retrying  [###############----------------]  50 of 100  50/s")
    }
}
