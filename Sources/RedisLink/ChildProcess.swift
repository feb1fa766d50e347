/// Children that end with this process, whatever ends it.

import CProcess
import Foundation
import Synchronization

/// The kernel sends the death signal when the *thread* that made the child ends, so all are made on one that stays.
package enum ChildProcess {
    private struct Order: Sendable {
        let words: [String]
        let log: String?
        let done: @Sendable (Int32, Int32) -> Void
    }

    /// Starts a program (found through PATH); -1 with errno where that fails. Blocks until exec has worked or not.
    package static func spawn(_ words: [String], log: String? = nil) -> Int32 {
        let ready = DispatchSemaphore(value: 0)
        let made = Made()
        nursery.submit(
            Order(words: words, log: log) { pid, error in
                made.result.withLock { $0 = (pid, error) }
                ready.signal()
            })
        ready.wait()
        let (pid, error) = made.result.withLock { $0 }
        errno = error
        return pid
    }

    private final class Made: Sendable {
        let result = Mutex((pid: Int32(-1), error: Int32(0)))
    }

    /// The exit code (128 + signal) once it has ended; nil while it runs. A child is reaped once.
    package static func hasEnded(_ pid: Int32) -> Int32? {
        var status: Int32 = 0
        let answer = roost_reap(pid, &status)
        return answer == 0 ? nil : (answer == 1 ? roost_exit_code(status) : 0)
    }

    /// Sends the signal and waits; SIGKILL where it takes too long. Answers the exit code.
    @discardableResult
    package static func end(_ pid: Int32, signal: Int32, within limit: Duration) -> Int32 {
        Foundation.kill(pid, signal)
        let deadline = ContinuousClock.now + limit
        var killed = false
        while true {
            if let code = hasEnded(pid) { return code }
            if !killed, ContinuousClock.now > deadline {
                Foundation.kill(pid, SIGKILL)
                killed = true
            }
            usleep(1000)
        }
    }

    private static let nursery = Nursery()

    private final class Nursery: Sendable {
        private let orders = Mutex<[Order]>([])
        private let bell = DispatchSemaphore(value: 0)

        init() {
            let thread = Thread { [self] in
                while true {
                    bell.wait()
                    guard let order = orders.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
                    let pid = make(order)
                    order.done(pid, pid < 0 ? errno : 0)
                }
            }
            thread.name = "roost-children"
            thread.start()
        }

        func submit(_ order: Order) {
            orders.withLock { $0.append(order) }
            bell.signal()
        }

        private func make(_ order: Order) -> Int32 {
            var words: [UnsafeMutablePointer<CChar>?] = order.words.map { strdup($0) }
            words.append(nil)
            defer { for word in words { free(word) } }
            return roost_spawn(words, order.log, SIGKILL)
        }
    }
}
