/// Runs tasks on the thread of an event loop.

import NIOCore

/// For the loops of a node that do little between two calls of Redis: on the thread its replies come to they go on without a
/// thread being woken. Whatever takes its time stays in Swift's own pool.
final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    /// Whether the caller runs on it.
    var isCurrent: Bool { loop.inEventLoop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
