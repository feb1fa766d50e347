import Domain
import Foundation
import Testing

@testable import roost

@Suite struct ImportTests {
    private func json(_ text: String) throws -> JSONValue { try JSONValue.read(Array(text.utf8)) }

    private static let schedule = """
        {"scheduleId":"s","cron":"CRON_TZ=UTC 0 4 * * *","destination":"orders","method":"PUT","retries":5,
         "header":{"Content-Type":["text/plain"],"X-A":["1","2"]},"body":"hi","delay":30,"timeout":60,"queueName":"q",
         "callback":"https://a/","callbackHeader":{"X-B":["3"]},"flowControlKey":"k","rate":10,"period":60,
         "labels":["x","y"],"isPaused":true,"createdAt":1,"nextScheduleTime":2,"lastScheduleTime":3}
        """

    @Test func aScheduleIsMadeAgainAsItWas() throws {
        let copy = try #require(ScheduleCopy(json(Self.schedule)))
        #expect(
            copy.request.map { "\($0.name): \($0.value)" } == [
                "Upstash-Schedule-Id: s", "Upstash-Cron: CRON_TZ=UTC 0 4 * * *", "Upstash-Method: PUT",
                "Upstash-Retries: 5", "Upstash-Delay: 30", "Upstash-Timeout: 60", "Upstash-Callback: https://a/",
                "Upstash-Queue-Name: q", "Upstash-Flow-Control-Key: k",
                "Upstash-Flow-Control-Value: rate=10, period=60",
                "Upstash-Label: x,y", "Content-Type: text/plain", "Upstash-Forward-X-A: 1", "Upstash-Forward-X-A: 2",
                "Upstash-Callback-Forward-X-B: 3",
            ])
    }

    @Test func whatMeansTheSameIsTheSame() throws {
        let plain = #"{"scheduleId":"s","cron":"@daily","destination":"https://a/"}"#
        let spelled = """
            {"scheduleId":"s","cron":" @daily ","destination":"https://a/","method":"POST","retries":3,"header":{},"body":"",
             "delay":0,"timeout":0,"queueName":"","parallelism":0,"rate":0,"period":1,"labels":[],"isPaused":false}
            """
        #expect(try ScheduleCopy(json(plain)) == ScheduleCopy(json(spelled)))
    }

    @Test func redactedSchedulesAreLeftOut() throws {
        let source = ServerContents(
            schedules: [try json(#"{"scheduleId":"s","cron":"@daily","destination":"a","body":"REDACTED:00"}"#)])
        let steps = ImportPlan.steps(from: source, to: ServerContents())
        #expect(steps.map(\.action) == [.skip])
    }

    @Test func onlyWhatDiffersIsDone() throws {
        let source = ServerContents(
            topics: [
                try json(
                    #"{"name":"t","endpoints":[{"name":"n","url":"https://a/"},{"url":"https://b/"}],"headers":{"Upstash-Retries":["1"]}}"#
                )
            ],
            queues: [try json(#"{"name":"q","parallelism":2,"paused":true}"#)],
            schedules: [try json(Self.schedule)],
            flows: [
                try json(
                    #"{"flowControlKey":"k","parallelismMax":3,"rateMax":10,"ratePeriod":60,"isPaused":true,"isPinnedParallelism":false,"isPinnedRate":true}"#
                ),
                try json(#"{"flowControlKey":"free","parallelismMax":3,"isPaused":false}"#),
            ])
        let steps = ImportPlan.steps(from: source, to: ServerContents())
        #expect(steps.map(\.kind) == ["topic", "queue", "flow", "flow", "schedule"])
        #expect(steps.map(\.action) == [.add, .add, .add, .same, .add])
        #expect(
            steps.flatMap { $0.calls.map { "\($0.method) \($0.path)" } } == [
                "POST /v2/topics/t/endpoints", "PATCH /v2/topics/t", "POST /v2/queues", "POST /v2/flowControl/k/pin",
                "POST /v2/flowControl/k/pause", "POST /v2/schedules/orders", "POST /v2/schedules/s/pause",
            ])
        #expect(ImportPlan.steps(from: source, to: source).allSatisfy { $0.action == .same && $0.calls.isEmpty })
        var target = source
        target.queues = [try json(#"{"name":"q","parallelism":2,"paused":false}"#), try json(#"{"name":"mine"}"#)]
        let changes = ImportPlan.steps(from: source, to: target).filter { $0.action != .same }
        #expect(changes.map(\.detail) == ["paused"])
    }
}

@Suite struct LogWindowTests {
    private func entry(_ time: Int, _ state: String) throws -> JSONValue {
        try JSONValue.read(Array(#"{"time":\#(time),"messageId":"m","state":"\#(state)"}"#.utf8))
    }

    @Test func eachEntryIsShownOnce() throws {
        var window = LogWindow()
        let (a, b, c) = (try entry(10_000, "CREATED"), try entry(10_001, "ACTIVE"), try entry(10_000, "ERROR"))
        #expect(window.new(of: [a, b]) == [a, b])
        #expect(window.start == Timestamp(milliseconds: 7001))
        // One that comes late, one that comes twice.
        #expect(window.new(of: [a, a, c, b]) == [a, c])
        #expect(window.new(of: [a, a, c, b]).isEmpty)
        let late = try entry(20_000, "DELIVERED")
        #expect(window.new(of: [late]) == [late])
        #expect(window.start == Timestamp(milliseconds: 17_000))
    }
}

@Suite struct SignatureReportTests {
    @Test func everyFaultIsTold() {
        let keys = SigningKeys(current: "sig_a", next: "sig_b")
        let now = Timestamp(seconds: 1_800_000_000)
        func faults(_ token: String, url: String?, body: String, at: Timestamp, keys: SigningKeys) -> [String] {
            var report = SignatureReport(token: token, url: url, body: Array(body.utf8), now: at, keys: keys)
            report.examine()
            return report.checks.filter { $0.fault != nil }.map(\.name)
        }
        let token = Signer(key: "sig_b").token(url: "https://a/", body: Array("hi".utf8), now: now)
        #expect(faults(token, url: "https://a/", body: "hi", at: now, keys: keys) == [])
        #expect(faults(token, url: nil, body: "ho", at: now, keys: keys) == ["body hash"])
        #expect(
            faults(token, url: "https://b/", body: "ho", at: now.adding(seconds: 999), keys: keys) == [
                "url", "time", "body hash",
            ])
        let others = SigningKeys(current: "sig_c", next: "sig_d")
        #expect(faults(token, url: "https://b/", body: "", at: now, keys: others) == ["key"])
        #expect(faults("a.b", url: nil, body: "", at: now, keys: keys) == ["form"])
    }
}
