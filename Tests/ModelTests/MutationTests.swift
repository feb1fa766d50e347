/// Shows that the search can fail: scripts with one plain mistake each, all of which it must find.

import Engine
import Foundation
import RedisLink
import Testing

struct Mutation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: Script
    let text: String
    let mistake: String

    init(_ description: String, _ script: Script, _ text: String, _ mistake: String) {
        (testDescription, self.script, self.text, self.mistake) = (description, script, text, mistake)
    }

    /// nil where the script has no such text any more.
    var changed: Script? {
        guard script.source.contains(text) else { return nil }
        return Script(name: script.name, source: script.source.replacing(text, with: mistake))
    }
}

@Suite(.serialized) struct MutationTests {
    static let mutations = [
        Mutation(
            "settle keeps the queue's slot", Scripts.settle,
            "if redis.call('SREM', key('held', 'queue:' .. queue), id) == 1 then touch('queue:' .. queue) end", ""),
        Mutation(
            "claim lets one start more through than the rate", Scripts.claim, "gate.count < gate.rate",
            "gate.count <= gate.rate"),
        Mutation(
            "reclaim does not count", Scripts.reclaim,
            "if reclaimed then redis.call('HINCRBY', message, 'reclaimed', 1) end",
            ""),
        Mutation(
            "cancel leaves the message in due", Scripts.cancel, "else redis.call('ZREM', key('due'), id) end", "end"),
        Mutation(
            "hand_back turns the order round", Scripts.handBack, "return a.number < b.number",
            "return a.number > b.number"),
        Mutation(
            "settle makes callbacks for whom it knows no more", Scripts.settle,
            "local ours = place and redis.call('HGET', key('active', node), id) == held",
            "local ours = place and (redis.call('HGET', key('active', node), id) == held or redis.call('HSET', key('active', node), id, held))"
        ),
        Mutation(
            "publish forgets the ids of what has ended", Scripts.publish, "or redis.call('ZSCORE', key('ended'), id)",
            ""),
        Mutation(
            "a retry behind a flow key keeps its slot", Scripts.settle, "  free_flow(id, r[2])\nend", "end"),
        Mutation(
            "nobody is woken for a lane without a gate", Scripts.publish, "== 1 then\n    wake()\n", "== 1 then\n"),
        Mutation(
            "claim sleeps before it has seen the whole ring", Scripts.claim, "if looked == most_lanes and",
            "if false and"),
        Mutation(
            "the history of a message loses its starts", Scripts.claim, "'state', 'active', 'event', ref)",
            "'state', 'active')"),
    ]

    @Test(arguments: mutations) func aMistakeIsFound(_ mutation: Mutation) async throws {
        let changed = try #require(mutation.changed, "the script has changed: put the mistake into its new text")
        let isShown = ProcessInfo.processInfo.environment["ROOST_MODEL_SHOW"] != nil
        let (count, report, _) = try await ModelSearch(changed: [changed], shrinks: isShown).run(
            from: 0, atMost: 2000, seconds: 60)
        #expect(report != nil, "not found in \(count) sequences")
        if isShown {
            print(mutation.testDescription, report ?? "")
        }
    }
}
