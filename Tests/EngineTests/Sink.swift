import Domain
import Engine
import NIOCore
import RedisLink
import Synchronization
import TestSupport

/// What was sent, and a way to wait for it without sleeping.
final class Sink: Sendable {
    private let state = Mutex<
        (
            seen: [Delivery],
            waiter: (condition: @Sendable ([Delivery]) -> Bool, continuation: CheckedContinuation<Void, Never>)?
        )
    >(([], nil))
    var seen: [Delivery] { state.withLock { $0.seen } }

    func receive(_ delivery: Delivery) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.seen.append(delivery)
            guard let waiter = state.waiter, waiter.condition(state.seen) else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        waiter?.resume()
    }

    func wait(for count: Int) async { await wait { $0.count >= count } }

    func wait(until condition: @escaping @Sendable ([Delivery]) -> Bool) async {
        await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if condition(state.seen) { return true }
                state.waiter = (condition, continuation)
                return false
            }
            if done { continuation.resume() }
        }
    }
}

extension Delivery {
    func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// Sends by a closure, in a task for each request.
private final class TaskSender: Sender {
    private let send: @Sendable (Delivery) async -> Outcome
    private let state = Mutex((tasks: [Task<Void, Never>](), isCutOff: false))

    init(_ send: @escaping @Sendable (Delivery) async -> Outcome) { self.send = send }

    func send(_ delivery: Delivery, _ ended: @escaping @Sendable (Outcome) -> Void) {
        let task = Task { ended(await send(delivery)) }
        // The request may be seen, and all of them cut off, before this line.
        let isLate = state.withLock { state in
            state.tasks.append(task)
            return state.isCutOff
        }
        if isLate { task.cancel() }
    }

    func cutOff() {
        state.withLock { state in
            state.isCutOff = true
            state.tasks.forEach { $0.cancel() }
        }
    }
}

/// A node that runs, with its wake-ups.
struct RunningNode {
    let node: Node
    private let subscription: RedisSubscription
    private let running: Task<Void, Never>

    init(
        _ store: Store, _ redis: TestRedis, _ settings: EngineSettings = EngineSettings(),
        keys: SigningKeys = .generate(), send: @escaping @Sendable (Delivery) async -> Outcome
    ) {
        let node = Node(
            store: store, settings: settings, keys: SigningKeyring(keys), timers: redis.loop, sender: TaskSender(send))
        let subscription = RedisSubscription(
            url: redis.server.url, channel: "roost:{0}:wake", loop: redis.loop, logger: TestRedis.quiet
        ) { node.wake($0) }
        (self.node, self.subscription) = (node, subscription)
        running = Task { await node.run() }
    }

    /// Drains it.
    func stop() async {
        node.shutDown()
        await running.value
        await subscription.shutDown()
    }
}
