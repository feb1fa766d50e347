/// What clients ask for: publishing, dead letters, schedules; and what the janitor takes away.

extension QueueModel {
    func taken(_ dedup: String, _ window: Int64, _ now: Int64) -> String? {
        guard let taken = dedups[dedup], taken.till > now, taken.till - now <= window else { return nil }
        return taken.id
    }

    mutating func publish(_ items: [PublishedItem], _ now: Int64) -> [String] {
        shedEnded(before: now - Self.endedFor)
        return items.map { publish($0, now) }
    }

    /// The status of one item: `stored`, what each message repeats, or why nothing is stored.
    private mutating func publish(_ item: PublishedItem, _ now: Int64) -> String {
        let parcels = item.parcels
        var repeated: [Int: String] = [:]
        let isBefore = parcels.contains { isKnown($0.message.id) }
        if !isBefore {
            if let topic = item.topic, topics[topic.name] != topic.revision { return "topic" }
            if let queue = parcels.first?.message.queue, item.mostQueues > 0, !queues.contains(queue),
                queues.count >= item.mostQueues
            {
                return "queues"
            }
        }
        for (index, parcel) in parcels.enumerated() where parcel.dedup != "" && !isKnown(parcel.message.id) {
            repeated[index] = taken(parcel.dedup, isBefore ? .max : Self.window, isBefore ? 0 : now)
        }
        if !isBefore {
            for (index, parcel) in parcels.enumerated() {
                if parcel.dedup != "", repeated[index] == nil {
                    repeated[index] = taken(parcel.dedup, Self.window, now)
                }
                guard repeated[index] == nil else { continue }
                create(parcel, now: now)
                if parcel.dedup != "" { dedups[parcel.dedup] = (parcel.message.id, now + Self.window) }
            }
        }
        if repeated.isEmpty { return "stored" }
        return "[" + parcels.indices.map { repeated[$0] ?? "" }.joined(separator: " ") + "]"
    }

    mutating func retryDead(
        _ items: [(dlqId: String, parcel: Parcel)], all: Bool, bytes: Int, _ now: Int64
    ) -> [String] {
        var left = bytes
        if all, let gone = items.first(where: { dead[$0.dlqId] == nil && !isKnown($0.parcel.message.id) }) {
            return ["gone", gone.dlqId]
        }
        var statuses: [String] = []
        for (dlqId, parcel) in items {
            if left < 0 { break }
            if isKnown(parcel.message.id) {
                statuses.append("stored")
            } else if let letter = dead.removeValue(forKey: dlqId) {
                var parcel = parcel
                parcel.message.body = letter.message.body
                parcel.message.isShared = letter.message.isShared
                create(parcel, now: now)
                left -= parcel.message.body.utf8.count
                statuses.append("stored")
            } else {
                statuses.append("gone")
            }
        }
        return ["ok"] + statuses
    }

    mutating func dropDead(_ ids: [String]) -> Int {
        ids.reduce(0) { $0 + (dead.removeValue(forKey: $1) == nil ? 0 : 1) }
    }

    /// What `schedule_put` must answer; the revision is the store's choice.
    mutating func putSchedule(_ id: String, next: Int64, revision: String) {
        let old = schedules[id]
        schedules[id] = Schedule(
            revision: revision, next: next, isPaused: old?.isPaused ?? false, missed: old?.missed ?? 0,
            states: old?.states ?? [:])
    }

    /// Those whose time has come, the earliest first.
    func dueSchedules(_ now: Int64) -> [(id: String, schedule: Schedule)] {
        schedules.filter { !$0.value.isPaused && $0.value.next <= now }
            .sorted { ($0.value.next, $0.key) < ($1.value.next, $1.key) }.map { ($0.key, $0.value) }
    }

    mutating func fire(
        _ id: String, read: Schedule, next: Int64, missed: Int, _ parcels: [Parcel], _ now: Int64
    ) -> String {
        guard let schedule = schedules[id], schedule.revision == read.revision, schedule.next == read.next,
            !schedule.isPaused
        else { return "changed" }
        if !parcels.isEmpty { schedules[id]?.states = [:] }
        for parcel in parcels {
            create(parcel, now: now)
            messages[parcel.message.id]?.schedule = id
            schedules[id]?.states[parcel.message.id] = "IN_PROGRESS"
        }
        schedules[id]?.next = next
        schedules[id]?.missed += missed
        return "fired"
    }

    mutating func collect(_ keeping: Keeping, deadFor: Int64, _ now: Int64) {
        for (id, end) in finished where end.time <= now - keeping.milliseconds {
            finished[id] = nil
            ended[id] = now
        }
        for id in dead.keys where (Int64(id.prefix { $0 != "-" }) ?? 0) <= now - deadFor { dead[id] = nil }
        for flow in flows {
            guard let gate = gates["flow:\(flow)"] else { continue }
            let isInWindow = (gate.windowStart ?? 0) + Int64(gate.period ?? 1) * 1000 > now
            let isFree = count(ofFlow: flow) == 0 && !gate.isPaused && !gate.pinsParallelism && !gate.pinsRate
            if now - gate.used > 86_400_000, !isInWindow, isFree {
                (gates["flow:\(flow)"], held["flow:\(flow)"]) = (nil, nil)
                flows.remove(flow)
            }
        }
        shedEnded(before: now - Self.endedFor)
    }
}
