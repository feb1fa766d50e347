/// What clients and the house's own loops do.

import Engine
import RedisLink

extension ModelRun {
    func perform(_ operation: Operation) throws {
        switch operation {
        case .publish(let messages, let isShared, let topic, let isOld, let mostQueues, let carried):
            try publish(messages, isShared, topic, isOld: isOld, mostQueues, carried)
        case .batch(let items, let carried):
            let items = items.enumerated().map { PublishedItem(parcels: parcels($1, item: $0, isShared: false)) }
            try publish(items, [], carried)
        case .editTopic(let topic, let isRemoved): try editTopic("t\(topic)", isRemoved)
        case .resend(let pick): try resend(pick)
        case .promote(let most): _ = try promote(most)
        case .renew(let node, let isFull): try renew(node, isFull: isFull)
        case .claim(let node, let limits, let isLost): try claim(node, limits, isLost: isLost)
        case .drain(let node, let limits): try drain(node, limits)
        case .settle(let node, let attempts, let keeping): try settle(node, attempts, keeping)
        case .settleForeign(let node, let pick): try settleForeign(node, pick)
        case .crash(let node): crash(node)
        case .reclaim(let node, let most): try reclaim(node, most)
        case .handBack(let node, let most): try handBack(node, most)
        case .forget(let node, let pick):
            if !nodes[node].known.isEmpty { nodes[node].known.remove(at: pick % nodes[node].known.count) }
        case .cancel(let picks): try cancel(picks)
        case .gate(let kind, let change): try self.change(kind, change)
        case .deleteQueue(let queue, let most): try delete("q\(queue)", "delete", most)
        case .sweep(let queue, let most): try delete("q\(queue)", "sweep", most)
        case .retryDead(let picks, let all, let delay, let to, let bytes): try retryDead(picks, all, delay, to, bytes)
        case .dropDead(let picks): try dropDead(picks)
        case .putSchedule(let number, let after): try putSchedule("s\(number)", now + after)
        case .setSchedule(let number, let change): try setSchedule("s\(number)", change)
        case .fire(let kinds, let period, let isRaced): try fire(kinds, period, isRaced)
        case .collect(let keeping, let deadFor): try collect(keeping, deadFor)
        case .read: try read()
        case .stepBack(let milliseconds): try stepBack(milliseconds)
        case .limitLog(let bytes):
            countsEvents = false
            try store.limitLog(bytes)
        case .wait(let milliseconds): now += milliseconds
        case .waitForNext:
            let runs = model.schedules.values.filter { !$0.isPaused }.map(\.next).filter { $0 > now }
            if let next = ([model.nextTime(now)].compactMap { $0 } + runs).min() { now = max(now, next) }
        }
    }

    private func parcels(_ messages: [PublishedMessage], item: Int, isShared: Bool) -> [Parcel] {
        messages.enumerated().map { index, message in
            var parcel = Parcel(
                id: "msg_\(1000 + serial)_\(item)\(index)", kind: message.kind, limits: message.limits,
                due: now + message.delay, body: isShared ? "for all, \(serial % 2)" : "body of \(serial)",
                isShared: isShared)
            if message.dedup > 0 { parcel.dedup = "d\(message.dedup)" }
            return parcel
        }
    }

    private func publish(
        _ messages: [PublishedMessage], _ isShared: Bool, _ topic: Int, isOld: Bool, _ mostQueues: Int,
        _ carried: Carried?
    ) throws {
        var item = PublishedItem(parcels: parcels(messages, item: 0, isShared: isShared), mostQueues: mostQueues)
        if topic > 0 {
            let name = "t\(topic)"
            item.topic = (name, (isOld ? oldTopics[name] : model.topics[name]) ?? "1")
        }
        try publish([item], isShared ? ["shared-\(serial % 2)"] : [], carried)
    }

    private func publish(_ items: [PublishedItem], _ shared: [String], _ carried: Carried?) throws {
        var arguments = ["\(QueueModel.endedFor)", "\(QueueModel.window)", "\(items[0].mostQueues)", "\(items.count)"]
        for (index, item) in items.enumerated() {
            let first = item.parcels[0]
            if item.topic == nil, shared.isEmpty, item.parcels.count == 1, first.gate.isEmpty, first.dedup.isEmpty,
                (serial + index) % 2 == 0
            {
                let message = first.message
                arguments += ["/", "100", message.body, message.id, message.lane, "\(message.due)", message.request]
                continue
            }
            arguments += [item.topic?.name ?? "", item.topic?.revision ?? "", item.parcels[0].message.body]
            arguments += [shared.first ?? "", "100", "\(item.parcels.count)"]
            for parcel in item.parcels {
                let message = parcel.message
                arguments += [message.id, message.lane, "\(message.due)", message.request, parcel.gate, parcel.dedup]
            }
        }
        let claim = carried.map { [nodes[$0.node].name, "\(nodes[$0.node].claim)"] + $0.limits.words } ?? []
        guard let answer = try send(Scripts.publish, arguments + claim) else { return }
        let statuses = answer.reply.dropLast(carried == nil ? 0 : 1)
        try expect("publish", statuses, ["ok"] + model.publish(items, answer.now))
        for status in statuses.dropFirst() { store.note(status.hasPrefix("[") ? "repeated" : "publish \(status)") }
        if let carried { try followCarried(answer.values.last, of: carried, storing: items, answer.now) }
        remember(Scripts.publish, arguments, .publish(items))
    }

    private func editTopic(_ name: String, _ isRemoved: Bool) throws {
        let revision = model.topics[name] ?? ""
        let arguments = ["call-\(serial)", name, revision, isRemoved ? "" : "[]", "", "\(now)", "0"]
        guard let answer = try send(Scripts.topicEdit, arguments) else { return }
        guard answer.reply.count == 2, answer.reply[0] == "ok", answer.reply[1] != revision else {
            throw Difference("topic edit: \(answer.reply)")
        }
        oldTopics[name] = revision
        model.topics[name] = isRemoved ? nil : answer.reply[1]
        remember(Scripts.topicEdit, arguments, .same(answer.reply))
    }

    /// A call comes again whose reply was lost; callers give up after half the time for which ended ids are known.
    private func resend(_ pick: Int) throws {
        let recent = calls.filter { elapsed - $0.sent <= QueueModel.endedFor / 2 }
        guard !recent.isEmpty else { return }
        let call = recent[pick % recent.count]
        guard let answer = try send(call.script, call.arguments) else { return }
        let wanted: [String] =
            switch call.arrival {
            case .publish(let items): ["ok"] + model.publish(items, answer.now)
            case .settle(let node, let attempts, let keeping):
                ["ok"] + model.settle(node, attempts, keeping, answer.now)
            case .retryDead(let items, let all, let bytes):
                model.retryDead(items, all: all, bytes: bytes, answer.now)
            case .same(let reply): reply
            }
        store.note("\(call.script.name) again")
        try expect("\(call.script.name) again", answer.reply, wanted)
    }

    private func cancel(_ picks: [Int]) throws {
        let ids = model.events.keys.sorted()
        let chosen = picks.map { ids.isEmpty || $0 >= 1000 ? "msg_none" : ids[$0 % ids.count] }
        let arguments = ["call-\(serial)"] + chosen
        guard let answer = try send(Scripts.cancel, arguments) else { return }
        let reply = ["ok", "\(model.cancel(chosen, answer.now))"]
        try expect("cancel", answer.reply, reply)
        remember(Scripts.cancel, arguments, .same(reply))
    }

    private func change(_ kind: Kind, _ change: GateChange) throws {
        let lane: String, name: String
        switch kind {
        case .queue(let number): (lane, name) = ("queue:q\(number)", "q\(number)")
        case .flow(let number), .both(_, let number): (lane, name) = ("flow:k\(number)", "k\(number)")
        case .host, .topic: return
        }
        func text(_ number: Int?) -> String { number.map { "\($0)" } ?? "" }
        let words: [String] =
            switch change {
            case .put(let parallelism, let paused):
                ["put", text(parallelism), paused.map { $0 ? "1" : "0" } ?? "", "0"]
            case .pause: ["pause", "", "", ""]
            case .resume: ["resume", "", "", ""]
            case .pin(let parallelism, let rate, let period): ["pin", text(parallelism), text(rate), "\(period)"]
            case .unpin(let parallelism, let rate): ["unpin", parallelism ? "1" : "", rate ? "1" : "", ""]
            case .resetRate: ["resetRate", "", "", ""]
            case .reset: ["reset", "", "", ""]
            }
        let arguments = [lane] + words + [name, "call-\(serial)"]
        guard let answer = try send(Scripts.gateSet, arguments) else { return }
        let wanted = model.change(lane, change, answer.now)
        try expect("change of \(lane)", answer.reply, [wanted])
        if wanted == "ok" { remember(Scripts.gateSet, arguments, .same(["ok"])) }
    }

    private func delete(_ queue: String, _ verb: String, _ most: Int) throws {
        let arguments = [queue, verb, "\(most)", "call-\(serial)"]
        guard let answer = try send(Scripts.queueDelete, arguments) else { return }
        let known = verb == "sweep" || model.deleteQueue(queue)
        guard known else { return try expect("delete of \(queue)", answer.reply, ["ok", "0", "0"]) }
        guard answer.reply.count == 3, let cancelled = Int(answer.reply[1]) else {
            throw Difference("delete: \(answer.reply)")
        }
        let living = Set(
            try store.observe().compactMap { line -> String? in
                line.hasPrefix("message ") ? String(line.split(separator: " ")[1]) : nil
            })
        let problem = model.sweep(
            queue, most: most, answer: (cancelled, answer.reply[2] == "1"), isGone: { !living.contains($0) }, answer.now
        )
        if let problem { throw Difference(problem) }
        store.note("swept", cancelled)
        if answer.reply[2] == "1" { store.note("sweep has more") }
        if verb == "delete" { remember(Scripts.queueDelete, arguments, .same(answer.reply)) }
    }

    private func retryDead(_ picks: [Int], _ all: Bool, _ delay: Int64, _ to: Kind?, _ bytes: Int) throws {
        let known = model.dead.keys.sorted()
        var items: [(dlqId: String, parcel: Parcel)] = []
        for (index, pick) in picks.enumerated() {
            let dlqId = known.isEmpty || pick >= 1000 ? "1-1" : known[pick % known.count]
            let old = model.dead[dlqId]?.message
            if items.contains(where: { $0.dlqId == dlqId }) { continue }
            var parcel = Parcel(
                id: "msg_\(1000 + serial)_\(index)", kind: .host(0), limits: FlowLimits(parallelism: 2),
                due: now + delay,
                body: "")
            if let old {
                // What it had stays where the request says nothing else.
                let new = to.map { Parcel(id: "", kind: $0, limits: FlowLimits(), due: 0, body: "").message }
                parcel.message.queue = new?.queue ?? old.queue
                parcel.message.flow = new?.flow ?? old.flow
                parcel.message.lane =
                    parcel.message.queue.map { "queue:\($0)" } ?? parcel.message.flow.map { "flow:\($0)" } ?? old.lane
            }
            items.append((dlqId, parcel))
        }
        var arguments = [all ? "all" : "", "\(bytes)", "0", "\(items.count)"]
        for (dlqId, parcel) in items {
            let message = parcel.message
            arguments += [dlqId, message.id, message.lane, "\(message.due)", message.request, parcel.gate, "100"]
        }
        guard let answer = try send(Scripts.deadRetry, arguments) else { return }
        for status in answer.reply.dropFirst() { store.note("dead \(status)") }
        try expect("dead retry", answer.reply, model.retryDead(items, all: all, bytes: bytes, answer.now))
        // Those that were not there may have come since: another arrival need not answer the same for them.
        if !answer.reply.contains("gone"), answer.reply.count == items.count + 1 {
            remember(Scripts.deadRetry, arguments, .retryDead(items, all: all, bytes: bytes))
        }
    }

    private func dropDead(_ picks: [Int]) throws {
        let known = model.dead.keys.sorted()
        let ids = picks.map { known.isEmpty || $0 >= 1000 ? "1-1" : known[$0 % known.count] }
        let arguments = ["call-\(serial)"] + ids
        guard let answer = try send(Scripts.deadDrop, arguments) else { return }
        let reply = ["ok", "\(model.dropDead(ids))"]
        try expect("dead drop", answer.reply, reply)
        remember(Scripts.deadDrop, arguments, .same(reply))
    }

    private func putSchedule(_ id: String, _ next: Int64) throws {
        let arguments = [
            "call-\(serial)", id, "* * * * *", "\(next)", "", "", #"{"url":"http://x/s"}"#, "body", "", "600000", "0",
            "", "0",
        ]
        guard let answer = try send(Scripts.schedulePut, arguments) else { return }
        guard answer.reply.count == 2, answer.reply[0] == "ok" else {
            throw Difference("schedule put: \(answer.reply)")
        }
        model.putSchedule(id, next: next, revision: answer.reply[1])
        remember(Scripts.schedulePut, arguments, .same(answer.reply))
    }

    private func setSchedule(_ id: String, _ change: ScheduleChange) throws {
        let next = now + 60_000
        let revision = model.schedules[id]?.revision ?? ""
        let arguments = [id, change.rawValue, revision, "\(next)", "call-\(serial)"]
        guard let answer = try send(Scripts.scheduleSet, arguments) else { return }
        guard let schedule = model.schedules[id] else { return try expect("schedule set", answer.reply, ["missing"]) }
        try expect("schedule set", answer.reply, ["ok"])
        let isChanged = change == .remove || schedule.isPaused == (change == .resume)
        guard isChanged else { return }
        switch change {
        case .remove: model.schedules[id] = nil
        case .pause: model.schedules[id]?.isPaused = true
        case .resume:
            model.schedules[id]?.isPaused = false
            model.schedules[id]?.next = next
        }
        if change != .remove {
            let new = try store.field("schedule:\(id)", "revision")
            if new == revision { throw Difference("schedule \(id) was changed and keeps its revision") }
            model.schedules[id]?.revision = new
            remember(Scripts.scheduleSet, arguments, .same(["ok"]))
        }
    }

    private func fire(_ kinds: [Kind], _ period: Int64, _ isRaced: Bool) throws {
        guard let read = try send(Scripts.scheduleDue, ["100", "1000000"]) else { return }
        let due = model.dueSchedules(read.now)
        let later = model.schedules.values.filter { !$0.isPaused && $0.next > read.now }.map(\.next).min()
        let seen = read.values.dropFirst(2).map { ($0.array ?? []).prefix(3).map(\.word) }
        try expect("schedules due", [read.reply[1]], [later.map { "\($0)" } ?? ""])
        if seen != due.map({ [$0.id, $0.schedule.revision, "\($0.schedule.next)"] }) {
            throw Difference("schedules due: \(seen)")
        }
        guard !due.isEmpty else { return }
        for arrival in 0..<(isRaced ? 2 : 1) {
            var arguments = ["\(due.count)"]
            var parcels: [[Parcel]] = []
            for (index, item) in due.enumerated() {
                let run = kinds.enumerated().map { number, kind in
                    Parcel(
                        id: "run_\(1000 + serial)_\(arrival)\(index)\(number)", kind: kind,
                        limits: FlowLimits(parallelism: 2),
                        due: now, body: "body")
                }
                let next = now + period * Int64(index + 1)
                arguments += [item.id, item.schedule.revision, "\(item.schedule.next)", "\(next)", "1"]
                arguments += ["", "", "", "body", "", "100", "\(run.count)"]
                for parcel in run {
                    let message = parcel.message
                    arguments += [message.id, message.lane, "\(message.due)", message.request, parcel.gate]
                }
                parcels.append(run)
            }
            guard let answer = try send(Scripts.scheduleFire, arguments) else { return }
            let wanted = due.enumerated().map { index, item in
                model.fire(
                    item.id, read: item.schedule, next: now + period * Int64(index + 1), missed: 1, parcels[index],
                    answer.now)
            }
            for status in answer.reply.dropFirst() { store.note(status) }
            try expect("fire", answer.reply, ["ok"] + wanted)
        }
    }

    private func collect(_ keeping: Keeping, _ deadFor: Int64) throws {
        let arguments = ["\(keeping.milliseconds)", "\(QueueModel.endedFor)", "\(deadFor)", "1000000000000", "1000"]
        guard let answer = try send(Scripts.collect, arguments) else { return }
        model.collect(keeping, deadFor: deadFor, answer.now)
    }
}
