/// One deadline of a connection, which each request moves several times: moving it costs no timer of the event loop as long as
/// it moves away.

import NIOCore

/// On its event loop only.
final class ConnectionTimer {
    private let loop: any EventLoop
    private var due: (at: NIODeadline, act: () -> Void)?
    private var alarm: (at: NIODeadline, scheduled: Scheduled<Void>)?

    init(_ loop: any EventLoop) { self.loop = loop }

    /// Instead of whatever was to happen before.
    func set(_ time: TimeAmount, _ act: @escaping () -> Void) {
        let at = NIODeadline.now() + time
        due = (at, act)
        if let alarm, alarm.at <= at { return }
        alarm?.scheduled.cancel()
        schedule(at)
    }

    func cancel() { due = nil }

    /// At the connection's end: nothing stays behind in the loop.
    func end() {
        due = nil
        alarm?.scheduled.cancel()
        alarm = nil
    }

    private func schedule(_ at: NIODeadline) {
        alarm = (at, loop.assumeIsolated().scheduleTask(deadline: at) { self.ring() })
    }

    private func ring() {
        alarm = nil
        guard let due else { return }
        guard due.at <= NIODeadline.now() else { return schedule(due.at) }
        self.due = nil
        due.act()
    }
}
