/// What others read of the store, and what happens to all of it at once.

import Engine
import RedisLink

extension ModelRun {
    /// The gates as `gate_read` tells them, and what metrics are told.
    func read() throws {
        let lanes = model.gates.keys.sorted()
        guard let gates = try send(Scripts.gateRead, lanes) else { return }
        for (lane, value) in zip(lanes, gates.values.dropFirst()) {
            let seen = value.array.map { $0.map(\.word).dropFirst(7).prefix(5).joined(separator: " ") } ?? ""
            try expect("gate of \(lane)", [seen], [figures(of: lane, gates.now)])
        }
        let kinds = ["host", "topic", "queue", "flow"]
        guard let figures = try send(Scripts.measure, kinds) else { return }
        let nodes = model.nodes.values.count { $0 >= figures.now }
        var wanted = ["\(model.messages.count)", "\(model.due.count)", "\(model.dead.count)", "0", "\(nodes)"]
        for kind in kinds {
            let waiting = model.lanes.filter { $0.key.hasPrefix(kind + ":") }
                .reduce(0) { $0 + $1.value.again.count + $1.value.fresh.count }
            let held = model.messages.values.count { QueueModel.lane(ofHold: $0).hasPrefix(kind + ":") }
            wanted += ["\(waiting)", "\(held)"]
        }
        guard figures.reply.count == 11 + 2 * kinds.count else { throw Difference("measure: \(figures.reply)") }
        // Nothing is ever set aside: all records are whole.
        try expect("measure", [1, 2, 4].map { figures.reply[$0] } + figures.reply[9...], wanted)
    }

    private func figures(of lane: String, _ now: Int64) -> String {
        let short = String(lane.drop { $0 != ":" }.dropFirst())
        let isQueue = lane.hasPrefix("queue:")
        guard isQueue ? model.queues.contains(short) : model.flows.contains(short) else { return "" }
        let gate = model.gates[lane] ?? QueueModel.Gate()
        let waiting = model.lanes[lane].map { $0.again.count + $0.fresh.count } ?? 0
        let count = isQueue ? model.count(ofQueue: short) : model.count(ofFlow: short)
        let window = "\(gate.windowStart ?? 0) \(gate.window(now)?.count ?? 0)"
        return "\(window) \(model.held[lane, default: []].count) \(waiting) \(count)"
    }

    /// The node that sees it says so with its next call, and promotes, as nodes do all the time.
    func stepBack(_ milliseconds: Int64) throws {
        now -= milliseconds
        knowsTimes = false
        guard let answer = try send(Scripts.promote, ["200"], isStepped: true) else { return }
        let moved = model.promote(200, answer.now)
        guard answer.reply.count == 3, answer.reply[0] == "ok", let all = Int(answer.reply[1]), all >= moved else {
            throw Difference("promote after a step: \(answer.reply), and \(moved) were due")
        }
    }
}
