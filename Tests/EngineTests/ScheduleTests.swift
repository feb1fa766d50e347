import Domain
import Engine
import RedisLink
import TestSupport
import Testing

/// Schedules over a real Redis, with a clock that a test moves.
@Suite struct ScheduleTests {
    struct Bench {
        let redis: TestRedis
        let clock = NodeClock(manual: Timestamp(milliseconds: 1_735_689_630_000))  // 2025-01-01 00:00:30
        let store: Store
        let runner: ScheduleRunner

        init() throws {
            redis = try TestRedis()
            store = redis.store(clock: clock)
            runner = ScheduleRunner(store: store, wakeup: Wakeup(timers: redis.loop))
        }

        func put(
            _ id: String, cron: String = "*/5 * * * *", destination: Destination = .url("http://a.test/"),
            headers: [HeaderField] = []
        )
            async throws -> Store.PutResult
        {
            let context = PublishContext(
                version: .v2, now: clock.now, callerIP: "127.0.0.1", policy: AddressPolicy(allowsPrivate: true))
            let request = try PublishRequest.parse(
                destination: destination, headers: [("Upstash-Cron", cron), ("Upstash-Schedule-Id", id)] + headers,
                body: Array("body".utf8), context: context)
            return try await store.putSchedule(try #require(request.newSchedule()))
        }

        /// Everything that is due now, by all runners given.
        func fire(_ others: [ScheduleRunner] = []) async throws {
            for runner in [runner] + others {
                while let next = try await runner.step(), next <= clock.now {}
            }
            #expect(try await redis.audit() == [])
        }

        func messages() async throws -> Int64 { try await redis.send("ZCARD", "roost:{0}:messages").int64 ?? -1 }
    }

    @Test func aTickIsFiredOnceByHoweverManyNodes() async throws {
        let bench = try Bench()
        let second = ScheduleRunner(store: bench.store, wakeup: Wakeup(timers: bench.redis.loop))
        #expect(try await bench.put("s") == .stored)
        try await bench.fire([second])
        #expect(try await bench.messages() == 0)
        bench.clock.advance(by: .seconds(270))
        try await bench.fire([second])
        #expect(try await bench.messages() == 1)
        let schedule = try #require(try await bench.store.schedule("s"))
        #expect(schedule.last == bench.clock.now)
        #expect(schedule.next.milliseconds == 1_735_690_200_000)
        #expect(schedule.states.map(\.state) == [.inProgress])
        await bench.redis.close()
    }

    /// Down for a day: one run stands for all that were missed, and their number is kept.
    @Test func missedRunsCollapseIntoOne() async throws {
        let bench = try Bench()
        _ = try await bench.put("s")
        bench.clock.advance(by: .seconds(86_400))
        try await bench.fire()
        #expect(try await bench.messages() == 1)
        #expect(try await bench.redis.send("HGET", "roost:{0}:schedule:s", "missed").int64 == 287)
        await bench.redis.close()
    }

    @Test func pausedAndRemovedSchedulesNeverFire() async throws {
        let bench = try Bench()
        _ = try await bench.put("paused")
        _ = try await bench.put("removed")
        #expect(try await bench.store.setSchedule("paused", paused: true))
        try await bench.store.removeSchedule("removed")
        bench.clock.advance(by: .seconds(3600))
        try await bench.fire()
        #expect(try await bench.messages() == 0)
        #expect(try await bench.store.setSchedule("paused", paused: false))
        try await bench.fire()
        #expect(try await bench.messages() == 0, "resuming does not catch up")
        bench.clock.advance(by: .seconds(300))
        try await bench.fire()
        #expect(try await bench.messages() == 1)
        #expect(try await bench.store.setSchedule("none", paused: true) == false)
        await bench.redis.close()
    }

    /// A node has read the schedule; before it fires, the schedule is paused, resumed, replaced or removed.
    @Test(arguments: ["pause", "remove", "replace"])
    func aRunThatRacesWithAChangeDoesNothing(_ change: String) async throws {
        let bench = try Bench()
        _ = try await bench.put("s")
        bench.clock.advance(by: .seconds(300))
        let racing = RacingRedis(bench.redis.client, before: Scripts.scheduleFire) {
            switch change {
            case "pause": _ = try? await bench.store.setSchedule("s", paused: true)
            case "remove": try? await bench.store.removeSchedule("s")
            default: _ = try? await bench.put("s", cron: "0 0 * * *")
            }
        }
        let store = Store(
            redis: racing, clock: bench.clock, settings: StoreSettings(), logger: TestRedis.quiet,
            metrics: EngineMetrics())
        _ = try await ScheduleRunner(store: store, wakeup: Wakeup(timers: bench.redis.loop)).step()
        #expect(try await bench.messages() == 0)
        #expect(try await bench.redis.audit() == [])
        await bench.redis.close()
    }

    @Test func aTopicIsResolvedAtEachRunAndItsLossIsReported() async throws {
        let bench = try Bench()
        #expect(try await bench.put("s", destination: .topic("t")) == .topicMissing)
        func set(_ urls: [String]) async throws {
            try await bench.store.editTopic("t") { old throws(RequestError) in
                try Topic.upserting(
                    urls.map { .init(url: $0) }, into: old, name: "t", now: bench.clock.now, limits: Limits())
            }
        }
        try await set(["http://a.test"])
        #expect(try await bench.put("s", destination: .topic("t")) == .stored)
        try await set(["http://b.test"])
        bench.clock.advance(by: .seconds(300))
        try await bench.fire()
        #expect(try await bench.messages() == 2)
        await #expect(throws: RequestError.topicInUse("t", by: "s")) {
            try await bench.store.editTopic("t") { _ in nil }
        }
        // The topic disappears behind our back: the schedule says so, and another goes on.
        _ = try await bench.redis.send("DEL", "roost:{0}:topic:t", "roost:{0}:scheduled:t")
        _ = try await bench.put("other")
        bench.clock.advance(by: .seconds(300))
        for _ in 0..<4 { _ = try await bench.runner.step() }
        #expect(try await bench.messages() == 3)
        #expect(try await bench.store.schedule("s")?.error == "topic t not found")
        await bench.redis.close()
    }

    /// A topic whose record can't be read made its schedules due for ever, and the runner spin.
    @Test func aBrokenTopicIsReportedAndTheOthersGoOn() async throws {
        let bench = try Bench()
        try await bench.store.editTopic("t") { old throws(RequestError) in
            try Topic.upserting(
                [.init(url: "http://a.test")], into: old, name: "t", now: bench.clock.now, limits: Limits())
        }
        _ = try await bench.put("a", destination: .topic("t"))
        _ = try await bench.put("b")
        _ = try await bench.redis.send("HSET", "roost:{0}:topic:t", "endpoints", "nonsense")
        bench.clock.advance(by: .seconds(300))
        try await bench.fire()
        #expect(try await bench.messages() == 1)
        #expect(try await bench.store.schedule("a")?.error?.contains("topic t") == true)
        #expect(try await bench.store.schedule("a")?.next.milliseconds == 1_735_690_200_000)
        await bench.redis.close()
    }

    /// A schedule whose record is damaged, in whatever way, is reported on it or set aside; all others go on.
    @Test(arguments: ["type", "request", "next"])
    func aDamagedScheduleStopsNoOther(_ damage: String) async throws {
        let bench = try Bench()
        for id in ["bad", "good"] { _ = try await bench.put(id) }
        let key = "roost:{0}:schedule:bad"
        switch damage {
        case "type":
            _ = try await bench.redis.send("DEL", key)
            _ = try await bench.redis.send("SET", key, "x")
        case "request": _ = try await bench.redis.send("HSET", key, "request", "nonsense")
        default: _ = try await bench.redis.send("HDEL", key, "next")
        }
        bench.clock.advance(by: .seconds(300))
        while let next = try await bench.runner.step(), next <= bench.clock.now {}
        #expect(try await bench.messages() == (damage == "next" ? 2 : 1))
        let shown = try await bench.store.allSchedules().first { $0.id == "bad" }
        #expect(damage == "next" || shown?.error?.contains("can't be read") == true)
        try await bench.store.removeSchedule("bad")
        #expect(try await bench.store.allSchedules().map(\.id) == ["good"])
        await bench.redis.close()
    }

    @Test func overwritingReplacesEverythingButItsPast() async throws {
        let bench = try Bench()
        _ = try await bench.put("s", headers: [("Upstash-Delay", "10s"), ("Upstash-Callback", "http://cb.test")])
        bench.clock.advance(by: .seconds(300))
        try await bench.fire()
        #expect(try await bench.store.setSchedule("s", paused: true))
        _ = try await bench.put("s", cron: "0 4 * * *")
        let schedule = try #require(try await bench.store.schedule("s"))
        #expect(schedule.delay == nil && schedule.template.callback == nil && schedule.cron == "0 4 * * *")
        #expect(schedule.isPaused && schedule.last != nil && schedule.states.count == 1)
        await bench.redis.close()
    }

    /// Planned ticks = fired + recorded misses, whichever call to Redis fails.
    @Test(arguments: FaultyRedis.Fault.allCases)
    func everyTickIsFiredWhateverCallFails(_ fault: FaultyRedis.Fault) async throws {
        let bench = try Bench()
        var number = 1
        var hasFired = true
        while hasFired {
            try await bench.redis.send("FLUSHALL")
            bench.clock.set(Timestamp(milliseconds: 1_735_689_630_000))
            _ = try await bench.put("s")
            let faulty = FaultyRedis(bench.redis.client, fault: fault, atCall: number)
            let store = Store(
                redis: faulty, clock: bench.clock, settings: StoreSettings(), logger: TestRedis.quiet,
                metrics: EngineMetrics())
            let runner = ScheduleRunner(store: store, wakeup: Wakeup(timers: bench.redis.loop))
            for _ in 0..<3 {
                bench.clock.advance(by: .seconds(300))
                for _ in 0..<4 { _ = try? await runner.step() }
            }
            let missed = try await bench.redis.send("HGET", "roost:{0}:schedule:s", "missed").int64 ?? 0
            #expect(try await bench.messages() + missed == 3, "\(fault) at call \(number)")
            hasFired = faulty.hasFired
            number += 1
        }
        #expect(number > 8)
        await bench.redis.close()
    }

    @Test func manyAtOnceAreAllFired() async throws {
        let bench = try Bench()
        for number in 0..<350 { _ = try await bench.put("s\(number)") }
        bench.clock.advance(by: .seconds(300))
        try await bench.fire()
        #expect(try await bench.messages() == 350)
        await bench.redis.close()
    }
}
