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
            "if stream and holds[number] == held and",
            "if stream and (holds[number] == held or redis.call('HSET', key('active', node), id, held)) and"
        ),
        Mutation(
            "publish forgets the ids of what has ended", Scripts.publish, "or redis.call('ZSCORE', key('ended'), id)",
            ""),
        Mutation(
            "a plain publish that is sent again is stored again", Scripts.publish,
            "if not (any_known and is_known(id)) then", "if true then"),
        Mutation(
            "a retry behind a flow key keeps its slot", Scripts.settle, "  free_flow(id, flow)\nend", "end"),
        Mutation(
            "nobody is woken for a lane without a gate", Scripts.publish, "== 1 then\n    wake()\n", "== 1 then\n"),
        Mutation(
            "claim sleeps before it has seen the whole ring", Scripts.claim, "if is_long then answer",
            "if false then answer"),
        Mutation(
            "what a publish could not give at once is not written", Scripts.publish,
            "write_plain('waiting', nil, unpack(record))", "local _ = record"),
        Mutation(
            "nobody is woken for what a publish leaves", Scripts.publish, "is_claimed_next = false\n      wake()",
            "is_claimed_next = false"),
        Mutation(
            "a publish gives a node whose lease has ended", Scripts.publish,
            "if not is_alive(node, now) then return { 'expired' } end", ""),
        Mutation(
            "the history of a message loses its starts", Scripts.claim,
            "'state', 'active', 'event', ref)",
            "'state', 'active')"),
    ]

    /// Those that few sequences meet.
    static let rareMutations = [
        Mutation(
            "what goes back before its paused queue keeps the key's slot", Scripts.claim,
            "slots = slots + redis.call('SREM', key('held', lane), id)", ""),
        Mutation(
            "a lost claim is answered without what it took", Scripts.claim, "if claim == number then", "if false then"),
        Mutation(
            "a queue made again does not wait for the old one", Scripts.queueDelete,
            "redis.call('SADD', key('deleting'), name)",
            "redis.call('SADD', key('deleting'), name) redis.call('DEL', key('held', lane))"),
        Mutation("collect drops a key that has messages", Scripts.collect, "tonumber(g[1] or '0') <= 0 and", ""),
        Mutation(
            "a queue goes on before the callbacks of its head have ended", Scripts.settle,
            "  if redis.call('EXISTS', key('waits', id)) == 1 then return end\n", ""),
        Mutation("the sweep of a deleted queue takes what is new", Scripts.queueDelete, "text(limit) .. '-0'", "'+'"),
        Mutation("a run is fired twice", Scripts.scheduleFire, "or record[2] ~= due", ""),
        Mutation(
            "a deleted queue's messages start behind their key", Scripts.claim, "return g[1] == '1' or g[2]",
            "return g[1] == '1'"),
        Mutation(
            "a queue's head starts before its time", Scripts.claim, "if queue and due_behind(fresh, last) > now then",
            "if false then"),
        Mutation(
            "a deduplication id stays taken a moment too long", Scripts.publish, "tonumber(till) > now",
            "tonumber(till) >= now"),
        Mutation("a message brings limits that are pinned", Scripts.publish, "if not g[5] and", "if"),
        Mutation(
            "renew gives back what its claim has just taken", Scripts.renew,
            "(tonumber(claim or '') or last) <= last", "true"),
        Mutation(
            "reclaim takes a node for dead at the end of its lease", Scripts.reclaim, "'-inf', '(' .. asked_at",
            "'-inf', asked_at"),
        Mutation(
            "a lane stays closed when its time has come", Scripts.promote, "  touch(lane)\nend\nfinish", "end\nfinish"),
        Mutation(
            "a settled attempt leaves reclaimed as it is", Scripts.settle,
            "  redis.call('HDEL', message, 'reclaimed')\n", ""),
        Mutation(
            "a window ends a millisecond late", Scripts.claim, "now >= gate.window_end or", "now > gate.window_end or"),
        Mutation(
            "a dead letter is retried twice", Scripts.deadRetry, "  if is_known(id) then\n    answer",
            "  if false then\n    answer"),
        Mutation(
            "a cancelled callback is waited for", Scripts.cancel,
            "if source and redis.call('SREM', key('waits', source), id) == 1 then", "if false then"),
        Mutation(
            "a shared body goes with the first that ends", Scripts.settle, "'holders', -1) <= 0", "'holders', -1) <= 1"),
    ]

    @Test(.enabled(if: ProcessInfo.processInfo.environment["ROOST_TEST_ALL"] != nil), arguments: rareMutations)
    func aRareMistakeIsFound(_ mutation: Mutation) async throws { try await search(mutation, seconds: 120) }

    @Test(arguments: mutations) func aMistakeIsFound(_ mutation: Mutation) async throws {
        try await search(mutation, seconds: 60)
    }

    /// Story: seed 181 found that the first page of a queue's deletion could leave its lane in the ring, while
    /// callbacks of what it took were under way.
    @Test func aSequenceThatDifferedOnce() throws {
        let steps = [
            Step(
                10, .publish([PublishedMessage(kind: .queue(0)), PublishedMessage(kind: .queue(0))], isShared: false)),
            Step(16, .drain(node: 2)),
            Step(21, .settle(node: 2, [Attempt(pick: 0, step: .retry(30_000), callbacks: [.host(2)])], Keeping())),
            Step(32, .gate(.queue(0), .put(parallelism: 2, paused: nil))),
            Step(43, .deleteQueue(0, most: 1)),
        ]
        #expect(try ModelRun.difference(steps, on: ModelStore(), isThorough: true) == nil)
        let mistake = Mutation(
            "as it was", Scripts.queueDelete, "\ntouch(lane)\nfinish(now)",
            "\nif more == 0 then touch(lane) end\nfinish(now)")
        let store = try ModelStore(changed: [try #require(mistake.changed)])
        #expect(try ModelRun.difference(steps, on: store, isThorough: true)?.step == 5)
    }

    private func search(_ mutation: Mutation, seconds: Double) async throws {
        let changed = try #require(mutation.changed, "the script has changed: put the mistake into its new text")
        let isShown = ProcessInfo.processInfo.environment["ROOST_MODEL_SHOW"] != nil
        let (count, report, _) = try await ModelSearch(changed: [changed], shrinks: isShown).run(
            from: 0, atMost: .max, seconds: seconds)
        #expect(report != nil, "not found in \(count) sequences")
        if isShown { print("\(mutation.testDescription):", report ?? "") }
        print("model: \(mutation.testDescription), in \(count) sequences")
    }
}
