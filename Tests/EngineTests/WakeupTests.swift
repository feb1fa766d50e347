import Engine
import NIOCore
import NIOPosix
import Testing

@Suite struct WakeupTests {
    private let timers = MultiThreadedEventLoopGroup.singleton.next()
    private let wakeup: Wakeup

    init() { wakeup = Wakeup(timers: timers) }

    @Test func aSignalEndsOneWaitWheneverItCame() async {
        wakeup.signal()
        #expect(await wakeup.wait(atMost: .seconds(60)))
        async let waits = wakeup.wait(atMost: .seconds(60))
        wakeup.signal()
        #expect(await waits)
        wakeup.signal()
        wakeup.clear()
        #expect(await !wakeup.wait(atMost: .milliseconds(1)))
        #expect(await !wakeup.wait(atMost: .zero))
    }

    /// The alarm of a wait that a signal has ended stays set.
    @Test func anAlarmOfAnEarlierWaitEndsNoLaterOne() async {
        for (first, second) in [
            (Duration.milliseconds(200), Duration.milliseconds(400)), (.seconds(60), .milliseconds(20)),
        ] {
            timers.scheduleTask(in: .milliseconds(5)) { wakeup.signal() }
            #expect(await wakeup.wait(atMost: first))
            let began = ContinuousClock.now
            #expect(await !wakeup.wait(atMost: second))
            #expect(ContinuousClock.now - began >= second)
        }
    }
}
