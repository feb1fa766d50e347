/// Sends HTTP requests through libcurl: a few threads, each with one epoll and several curl multis.

import Foundation
import Synchronization

/// Judges an address before anything is sent to it: nil lets it pass, a text refuses and says why.
package typealias AddressGuard = @Sendable (_ address: SocketAddress, _ host: String) -> String?

/// What a connection is about to go to: 4 or 16 bytes in network order.
package struct SocketAddress: Sendable, Equatable {
    package var bytes: [UInt8]
    package var port: Int
}

package struct CurlSettings: Sendable {
    package var threads = 1
    /// More trust roots than the system's: a PEM file.
    package var caFile: String?
    /// The peer is taken for who it says it is: for asking a server of one's own on this machine, whose certificate is
    /// made out to another name.
    package var trustsAnyCertificate = false
    /// A proxy for every request. Never taken from the environment.
    package var proxy: String?
    package var addressGuard: AddressGuard = { _, _ in nil }
    package init() {}
}

package final class CurlClient: Sendable {
    struct Job: Sendable {
        let id: UInt64
        let exchange: HTTPExchange
        let answer: @Sendable (HTTPOutcome) -> Void
    }

    private let lines: [CurlThread]
    private let next = Atomic<UInt64>(0)

    package init(settings: CurlSettings = CurlSettings()) {
        curlGlobal
        lines = (0..<max(1, settings.threads)).map { CurlThread(number: $0, settings: settings) }
    }

    /// Never throws: a failed delivery is data. Cancelling the task ends the transfer as `.failure(.cancelled)`.
    package func send(_ exchange: HTTPExchange) async -> HTTPOutcome {
        let id = next.wrappingAdd(1, ordering: .relaxed).newValue
        let line = lines[Int(id % UInt64(lines.count))]
        return await withTaskCancellationHandler {
            // Not a checked one, which costs as much as the hand-over itself: a job is answered by `finish`, which first takes
            // it out of `transfers`, or in one of the lines that are emptied as they answer.
            await withUnsafeContinuation { continuation in
                line.submit(Job(id: id, exchange: exchange) { continuation.resume(returning: $0) })
                // A task that was cancelled before has said so before there was anything to cancel.
                if Task.isCancelled { line.cancel(id) }
            }
        } onCancel: {
            line.cancel(id)
        }
    }

    /// The same for a caller that neither waits nor cancels: `answer` is called once, as a rule on a thread of curl, which it
    /// must not keep.
    package func send(_ exchange: HTTPExchange, _ answer: @escaping @Sendable (HTTPOutcome) -> Void) {
        let id = next.wrappingAdd(1, ordering: .relaxed).newValue
        lines[Int(id % UInt64(lines.count))].submit(Job(id: id, exchange: exchange, answer: answer))
    }

    /// Ends every transfer as cancelled and the threads with them. Requests sent later are cancelled at once.
    package func shutDown() { for line in lines { line.stop() } }
}

/// The inbox of one thread; the thread itself owns everything of curl.
final class CurlThread: Sendable {
    struct Inbox {
        var jobs: [CurlClient.Job] = []
        var cancelled: [UInt64] = []
        var stopping = false
        var ended = false
    }

    let inbox = Mutex(Inbox())
    private let bell = Bell()

    init(number: Int, settings: CurlSettings) {
        let thread = Thread { [self] in
            CurlLoop(inbox: self, bell: bell, settings: settings).run()
        }
        thread.name = "roost-curl-\(number)"
        thread.start()
    }

    func submit(_ job: CurlClient.Job) {
        let (accepted, ring) = inbox.withLock { inbox -> (Bool, Bool) in
            guard !inbox.stopping else { return (false, false) }
            inbox.jobs.append(job)
            return (true, inbox.jobs.count == 1)
        }
        if !accepted { job.answer(.failure(.cancelled)) } else if ring { bell.ring() }
    }

    func cancel(_ id: UInt64) {
        inbox.withLock { $0.cancelled.append(id) }
        bell.ring()
    }

    func stop() {
        inbox.withLock { $0.stopping = true }
        bell.ring()
    }

    func take() -> Inbox {
        inbox.withLock { inbox in
            defer { (inbox.jobs, inbox.cancelled) = ([], []) }
            return inbox
        }
    }
}
