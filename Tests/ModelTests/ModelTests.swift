/// Random sequences of operations, faults and time steps, run against a plain model and against the real scripts.
///
///     ROOST_MODEL_SEED=4711 swift test --filter ModelTests        runs that one sequence
///     ROOST_MODEL_SECONDS=7200 swift test --filter ModelTests     goes on for two hours

import Foundation
import TestSupport
import Testing

@Suite struct ModelTests {
    @Test func theScriptsDoWhatTheModelSays() async throws {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["ROOST_MODEL_SEED"].flatMap(UInt64.init) {
            let store = try ModelStore()
            if let report = try ModelSearch.check(seed: seed, on: store) { Issue.record("\(report)") }
            return
        }
        let seconds =
            environment["ROOST_MODEL_SECONDS"].flatMap(Double.init) ?? (environment["ROOST_TEST_ALL"] == nil ? 36 : 600)
        // The first seeds are the same each time; a long run begins elsewhere.
        let first = seconds > 60 ? UInt64.random(in: 0...(.max / 2)) : 0
        let (count, report, tally) = try await ModelSearch().run(from: first, atMost: .max, seconds: seconds)
        if let report { Issue.record("\(report)") }
        print("model: \(count) sequences from seed \(first)")
        if environment["ROOST_MODEL_SHOW"] != nil {
            for (what, count) in tally.sorted(by: { $0.key < $1.key }) { print("\(count)\t\(what)") }
        }
        #expect(report != nil || count >= 300)
        // A source of sequences that no longer meets the rare cases would find nothing in them.
        if report == nil, count >= 1000 {
            for what in Self.mustHappen { #expect(tally[what, default: 0] > 0, "\(what) never happened") }
        }
    }

    private static let mustHappen = [
        "claimed", "claim expired", "resent claim finds", "renew gives back", "reclaimed", "handed back",
        "moved behind a key", "moved back before a queue", "settled delivered", "settled retry", "settled dead",
        "settled canceled", "settled stale", "repeated", "publish stored", "publish topic", "publish queues",
        "publish clock", "publish again", "settle again", "swept", "sweep has more", "dead stored", "dead gone",
        "fired",
        "changed",
    ]
}
