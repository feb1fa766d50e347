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
            environment["ROOST_MODEL_SECONDS"].flatMap(Double.init) ?? (environment["ROOST_TEST_ALL"] == nil ? 40 : 600)
        // The first seeds are the same each time; a long run begins elsewhere.
        let first = seconds > 60 ? UInt64.random(in: 0...(.max / 2)) : 0
        let (count, report) = try await ModelSearch().run(
            from: first, atMost: .max, seconds: seconds)
        if let report { Issue.record("\(report)") }
        print("model: \(count) sequences from seed \(first)")
        #expect(count >= 100)
    }
}
