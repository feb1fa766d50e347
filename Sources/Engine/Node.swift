/// One node: every loop of this process, wired together, from start to drained.

import Domain
import Logging
import NIOCore
import RedisLink
import Synchronization

/// What another process, or this one, says over `<root>:wake`.
package enum WakeEvent: Sendable, Equatable {
    /// The subscription stands (again): anything said before may have been missed.
    case subscribed
    /// A lane came into the ring while a node slept.
    case open
    /// Something is due at this time (ms since 1970), earlier than all before.
    case due(Int64)
    /// A schedule runs at this time (ms since 1970), earlier than all before.
    case tick(Int64)
    /// The signing keys were rotated.
    case keys

    package init?(payload: String) {
        if payload == "open" {
            self = .open
        } else if payload == "keys" {
            self = .keys
        } else if payload.hasPrefix("due "), let time = Int64(payload.dropFirst(4)) {
            self = .due(time)
        } else if payload.hasPrefix("tick "), let time = Int64(payload.dropFirst(5)) {
            self = .tick(time)
        } else {
            return nil
        }
    }
}

package final class Node: Sendable {
    package let name: String
    package let deliverer: Deliverer
    package let settler: Settler
    package let promoter: Promoter
    package let scheduleRunner: ScheduleRunner
    package let renewer: Renewer
    package let reclaimer: Reclaimer
    package let janitor: Janitor
    package let held: HeldMessages
    package let pulse = Pulse()

    private let store: Store
    private let keys: SigningKeyring
    private let scripts: ScriptCaller
    private let settings: EngineSettings
    private let logger: Logger
    private let janitorWakeup: Wakeup
    private let reclaimerWakeup: Wakeup
    private let stop: Wakeup
    private let executor: LoopExecutor

    package init(
        store: Store, settings: EngineSettings, keys: SigningKeyring, timers: any EventLoop, sender: any Sender
    ) {
        name = "node-" + String(UInt64.random(in: .min ... .max), radix: 36)
        var logger = store.logger
        logger[metadataKey: "node"] = "\(name)"
        (self.settings, self.logger, self.store, self.keys) = (settings, logger, store, keys)
        scripts = store.scripts
        held = HeldMessages()
        executor = LoopExecutor(timers)
        let (held, name, scripts) = (held, name, scripts)
        let deliverWakeup = Wakeup(timers: timers)
        let link = Link()
        let settler = Settler(
            scripts: scripts, settings: settings.store, node: name, held: held, wakeup: Wakeup(timers: timers),
            settled: { link.deliverer?.settled() })
        let promoter = Promoter(scripts: scripts, wakeup: Wakeup(timers: timers), moved: { deliverWakeup.signal() })
        let renewer = Renewer(
            scripts: scripts, node: name, lease: settings.lease, held: held, wakeup: Wakeup(timers: timers),
            answered: { nextDue, openLanes in
                if let nextDue { promoter.note(due: nextDue) }
                if openLanes > 0 { deliverWakeup.signal() }
            })
        let claimer = Claimer(scripts: scripts, node: name, settings: settings, held: held)
        deliverer = Deliverer(
            claimer: claimer, settler: settler, held: held, clock: store.clock, settings: settings, keys: keys,
            metrics: store.metrics, logger: logger, wakeup: deliverWakeup, sender: sender,
            renew: {
                renewer.oweFull()
                try? await renewer.step()
            })
        (self.settler, self.promoter, self.renewer) = (settler, promoter, renewer)
        reclaimerWakeup = Wakeup(timers: timers)
        reclaimer = Reclaimer(
            scripts: scripts, node: name, lease: settings.lease, wakeup: reclaimerWakeup,
            mayReclaim: { renewer.isSteady })
        scheduleRunner = ScheduleRunner(store: store, wakeup: Wakeup(timers: timers))
        janitorWakeup = Wakeup(timers: timers)
        janitor = Janitor(scripts: scripts, settings: settings.store, wakeup: janitorWakeup)
        stop = Wakeup(timers: timers)
        wakeDeliverer = { deliverWakeup.signal() }
        link.deliverer = deliverer
    }

    private let wakeDeliverer: @Sendable () -> Void

    /// The settler tells the deliverer, and the deliverer feeds the settler: the knot is tied here, once.
    private final class Link: Sendable {
        private let target = Mutex<Deliverer?>(nil)
        var deliverer: Deliverer? {
            get { target.withLock { $0 } }
            set { target.withLock { $0 = newValue } }
        }
    }

    /// Takes what the subscription of the wake channel tells.
    package func wake(_ event: RedisSubscription.Event) {
        switch event {
        case .subscribed: wake(WakeEvent.subscribed)
        case .message(_, let payload): if let event = WakeEvent(payload: payload) { wake(event) }
        }
    }

    private func wake(_ event: WakeEvent) {
        switch event {
        case .subscribed:
            wakeDeliverer()
            Task { await self.readKeys() }
            promoter.lookAgain()
            scheduleRunner.lookAgain()
        case .open: wakeDeliverer()
        case .due(let time): promoter.note(due: time)
        case .tick(let time): scheduleRunner.note(tick: time)
        case .keys: Task { await self.readKeys() }
        }
    }

    private func readKeys() async {
        do {
            keys.replace(try await store.signingKeys(initial: keys.keys))
        } catch {
            logger.warning(
                "the rotated signing keys could not be read, they are looked at again within seconds: \(error)")
        }
    }

    /// The connection for commands was made anew: replies may have been lost with the old one.
    package func reconnected() {
        renewer.oweFull()
        renewer.hurry()
    }

    /// Runs all loops until `shutDown`, then drains: no more claims, what is in flight may end within the drain
    /// timeout, the rest is handed back in order. Returns when nothing is held any more, or Redis stays away.
    package func run() async {
        logger.info("node starts")
        await withTaskGroup(of: Void.self) { background in
            background.addTask { await self.renewer.run(self.watch("renewer")) }
            background.addTask(executorPreference: executor) { await self.promoter.run(self.watch("promoter")) }
            background.addTask { await self.scheduleRunner.run(self.watch("schedules")) }
            background.addTask { await self.reclaimer.run(self.watch("reclaimer")) }
            background.addTask { await self.janitor.run(self.watch("janitor")) }
            let settling = Task(executorPreference: executor) { await self.settler.run(self.watch("settler")) }
            scripts.nextClaim.come(deliverer, on: executor)
            await deliverUntilDrained()
            settler.finish()
            await value(of: settling, within: settings.store.storeTimeout)
            background.cancelAll()
            wakeAll()
            await handBack()
        }
        for loop in ["renewer", "promoter", "schedules", "reclaimer", "janitor", "settler", "deliverer"] {
            pulse.forget(loop)
        }
        logger.info("node has stopped")
    }

    private func watch(_ loop: String) -> LoopWatch { LoopWatch(loop, pulse: pulse, logger: logger) }

    /// Begins the drain; `run` returns when it is done. May be called from anywhere, more than once.
    package func shutDown() {
        deliverer.drain()
        stop.signal()
    }

    private func deliverUntilDrained() async {
        let delivering = Task(executorPreference: executor) { await self.deliverer.run(self.watch("deliverer")) }
        while await !stop.wait(atMost: .seconds(3600)) {}
        logger.info("draining", metadata: ["inFlight": "\(held.count)"])
        await value(of: delivering, within: settings.drainTimeout)
    }

    /// Waits for the end of a task and cancels it when it takes too long.
    private func value(of task: Task<Void, Never>, within limit: Duration) async {
        let cutOff = Task {
            try await Task.sleep(for: limit)
            task.cancel()
        }
        await task.value
        cutOff.cancel()
    }

    private func handBack() async {
        let deadline = ContinuousClock.now + settings.store.storeTimeout
        var total: Int64 = 0
        do {
            while true {
                let reply = try await scripts.untilAnswered(
                    Scripts.handBack, [.text(name), .integer(200)], deadline: deadline)
                guard reply.count == 3, reply[0].string == "ok" else { return }
                total += reply[1].int64 ?? 0
                if reply[2].int64 == 0 { break }
            }
            if total > 0 { logger.notice("handed back \(total) messages") }
        } catch {
            logger.warning("could not hand back what is held: another node takes it when the lease ends")
        }
    }

    private func wakeAll() {
        for wakeup in [janitorWakeup, reclaimerWakeup] { wakeup.signal() }
        renewer.hurry()
        promoter.lookAgain()
        scheduleRunner.lookAgain()
    }
}
