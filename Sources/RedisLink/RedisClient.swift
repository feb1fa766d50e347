/// The connection for commands: pipelined, reconnecting by itself, honest about what it does not know.

import Logging
import NIOCore
import NIOPosix
import Synchronization

package struct RedisClientSettings: Sendable {
    package var name = "roost"
    /// How long a command waits for a connection before it fails as `notSent`.
    package var connectWait: Duration = .seconds(2)
    /// A reply that takes longer than this ends the connection: Redis hangs, or the way to it does.
    package var replyTimeout: Duration = .seconds(10)
    /// Commands beyond this many bytes, queued or in flight, fail as `notSent`: memory stays bounded.
    package var maxBytes = 512 << 20
    package init() {}
}

/// Commands are encoded by their callers and collected; the event loop writes all that wait in one go and completes
/// them in the order of the replies. A large one that comes on the loop itself is written at once, behind those that wait: Redis
/// begins while the loop handles what else it has read. After a lost connection it dials again, 10 ms later at first and 1 s at most.
package final class RedisClient: RedisCommands {
    struct Request: Sendable {
        let bytes: [UInt8]
        let deadline: ContinuousClock.Instant
        let answer: @Sendable (Result<RedisValue, RedisError>) -> Void
    }

    private struct Inbox {
        var requests: [Request] = []
        var bytes = 0
        var scheduled = false
        var closed = false
    }

    private let inbox = Mutex(Inbox())
    /// Replies come here.
    package let loop: any EventLoop
    private let core: NIOLoopBoundBox<RedisClientCore>
    private let settings: RedisClientSettings

    /// `onConnect` is called on the event loop each time a connection stands; `isFirst` is false for every reconnect.
    package init(
        url: RedisURL, loop: any EventLoop, settings: RedisClientSettings = RedisClientSettings(), logger: Logger,
        onConnect: @escaping @Sendable (_ isFirst: Bool) -> Void = { _ in }
    ) {
        (self.loop, self.settings) = (loop, settings)
        core = NIOLoopBoundBox.makeBoxSendingValue(
            RedisClientCore(url: url, loop: loop, settings: settings, logger: logger, onConnect: onConnect),
            eventLoop: loop)
        let core = core
        loop.execute { core.value.start(core) }
    }

    package func send(_ command: RedisCommand) async throws(RedisError) -> RedisValue {
        // Not a checked one, which costs more than the rest of the hand-over: a request is answered by whoever takes it out of
        // `queued` or `pending`, or is refused before it comes there.
        let result = await withUnsafeContinuation {
            (continuation: UnsafeContinuation<Result<RedisValue, RedisError>, Never>) in
            send(command) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    package func send(
        _ command: RedisCommand, _ answer: @escaping @Sendable (Result<RedisValue, RedisError>) -> Void
    ) {
        submit(command.encoded) { result in
            if case .success(.error(let text)) = result { return answer(.failure(.server(text))) }
            answer(result)
        }
    }

    package func perform(_ work: @escaping @Sendable () -> Void) { loop.execute(work) }
    package func performHere(_ work: @escaping @Sendable () -> Void) {
        if loop.inEventLoop { work() } else { loop.execute(work) }
    }

    private func submit(_ bytes: [UInt8], _ answer: @escaping @Sendable (Result<RedisValue, RedisError>) -> Void) {
        guard !bytes.isEmpty else { return answer(.failure(.notSent("the command can't be encoded"))) }
        let size = bytes.count
        let request = Request(bytes: bytes, deadline: .now + settings.connectWait) { [weak self] result in
            self?.inbox.withLock { $0.bytes -= size }
            answer(result)
        }
        let (refusal, schedule) = inbox.withLock { inbox -> (String?, Bool) in
            if inbox.closed { return ("the client is closed", false) }
            if inbox.bytes + size > settings.maxBytes { return ("too much waits for Redis already", false) }
            inbox.bytes += size
            inbox.requests.append(request)
            defer { inbox.scheduled = true }
            return (nil, !inbox.scheduled)
        }
        if let refusal { return answer(.failure(.notSent(refusal))) }
        if size >= Self.large, loop.inEventLoop {
            core.value.accept(take())
        } else if schedule {
            loop.execute { self.core.value.accept(self.take()) }
        }
    }

    private static let large = 8192

    private func take() -> [Request] {
        inbox.withLock { inbox in
            defer { (inbox.requests, inbox.scheduled) = ([], false) }
            return inbox.requests
        }
    }

    /// Closes the connection; commands without a reply fail, later ones are refused.
    package func shutDown() async {
        inbox.withLock { $0.closed = true }
        let core = core
        try? await loop.submit {
            core.value.accept(self.take())
            core.value.close()
        }.get()
    }
}

/// The connection's state, on its event loop only.
final class RedisClientCore {
    private enum Link {
        case down
        case dialling
        case greeting(any Channel, left: Int)
        case up(any Channel)
    }

    private let url: RedisURL
    private let loop: any EventLoop
    private let settings: RedisClientSettings
    private let logger: Logger
    private let onConnect: @Sendable (Bool) -> Void
    private var me: NIOLoopBoundBox<RedisClientCore>?

    private var link = Link.down
    private var generation = 0
    private var queued = CircularBuffer<RedisClient.Request>()
    private var pending = CircularBuffer<(request: RedisClient.Request, sentAt: ContinuousClock.Instant)>()
    private var backoff = Duration.milliseconds(10)
    private var wasUp = false
    private var closed = false
    private var watching = false
    private var lastError = "no connection"
    /// When an outage was last told of.
    private var lastWord: ContinuousClock.Instant?

    init(
        url: RedisURL, loop: any EventLoop, settings: RedisClientSettings, logger: Logger,
        onConnect: @escaping @Sendable (Bool) -> Void
    ) {
        (self.url, self.loop, self.settings, self.logger, self.onConnect) = (url, loop, settings, logger, onConnect)
    }

    func start(_ me: NIOLoopBoundBox<RedisClientCore>) {
        self.me = me
        dial()
    }

    func accept(_ requests: [RedisClient.Request]) {
        queued.append(contentsOf: requests)
        flush()
        watch()
    }

    private func flush() {
        guard case .up(let channel) = link, !queued.isEmpty else { return }
        var buffer = channel.allocator.buffer(capacity: queued.reduce(0) { $0 + $1.bytes.count })
        let now = ContinuousClock.now
        while let request = queued.popFirst() {
            buffer.writeBytes(request.bytes)
            pending.append((request, now))
        }
        channel.writeAndFlush(buffer, promise: nil)
    }

    // MARK: connecting

    private func dial() {
        guard !closed, case .down = link, let me else { return }
        link = .dialling
        generation += 1
        let turn = generation
        url.connect(on: loop) {
            RedisReplyHandler(
                onReply: { me.value.received($0, turn: turn) }, onEnd: { me.value.ended(turn: turn) })
        }.whenComplete { result in
            switch result {
            case .success(let channel): me.value.connected(channel, turn: turn)
            case .failure(let error): me.value.failedToConnect(plainText(of: error), turn: turn)
            }
        }
    }

    private func connected(_ channel: any Channel, turn: Int) {
        guard turn == generation, !closed, case .dialling = link else {
            channel.close(promise: nil)
            return
        }
        let greetings = url.handshake(name: settings.name)
        link = .greeting(channel, left: greetings.count)
        var buffer = channel.allocator.buffer(capacity: 256)
        for command in greetings { buffer.writeBytes(command.encoded) }
        channel.writeAndFlush(buffer, promise: nil)
        loop.assumeIsolated().scheduleTask(in: .seconds(2)) {
            if case .greeting = self.link, turn == self.generation { channel.close(promise: nil) }
        }
    }

    private func failedToConnect(_ reason: String, turn: Int) {
        guard turn == generation else { return }
        lastError = reason
        remind()
        goDown()
    }

    /// An outage is told when it begins, and then once a minute.
    private func remind() {
        let now = ContinuousClock.now
        guard wasUp, let last = lastWord, now - last >= .seconds(60) else { return }
        lastWord = now
        logger.warning("Redis at \(url) is still away: \(lastError)")
    }

    private func goDown() {
        link = .down
        guard !closed, let me else { return }
        let pause = backoff + .microseconds(Int64.random(in: 0...5000))
        backoff = min(backoff * 2, .seconds(1))
        loop.scheduleTask(
            in: .nanoseconds(pause.components.seconds * 1_000_000_000 + pause.components.attoseconds / 1_000_000_000)
        ) {
            me.value.dial()
        }
    }

    // MARK: replies

    private func received(_ value: RedisValue, turn: Int) {
        guard turn == generation else { return }
        switch link {
        case .greeting(let channel, let left):
            if case .error(let text) = value, !text.hasPrefix("LOADING") {
                if lastError != text { logger.warning("Redis refuses the connection: \(text)") }
                lastError = text
                channel.close(promise: nil)
            } else if left > 1 {
                link = .greeting(channel, left: left - 1)
            } else {
                link = .up(channel)
                backoff = .milliseconds(10)
                if wasUp { logger.notice("connected to Redis again") }
                onConnect(!wasUp)
                wasUp = true
                flush()
            }
        case .up:
            pending.popFirst()?.request.answer(.success(value))
        case .down, .dialling:
            break
        }
    }

    private func ended(turn: Int) {
        guard turn == generation else { return }
        if case .up = link {
            logger.warning("the connection to Redis at \(url) is lost, dialling again")
            lastError = "the connection was lost"
            lastWord = .now
        }
        let lost = pending
        pending.removeAll()
        for (request, _) in lost { request.answer(.failure(.outcomeUnknown("the connection was lost"))) }
        if case .down = link { return }
        goDown()
    }

    // MARK: time

    /// Looks every 100 ms after what waits too long; sleeps while nothing waits.
    private func watch() {
        guard !watching, !(queued.isEmpty && pending.isEmpty), let me else { return }
        watching = true
        loop.scheduleTask(in: .milliseconds(100)) { me.value.look() }
    }

    private func look() {
        watching = false
        let now = ContinuousClock.now
        if let oldest = pending.first, now - oldest.sentAt > settings.replyTimeout {
            lastError = "no reply within \(settings.replyTimeout)"
            if case .up(let channel) = link { channel.close(promise: nil) }
        }
        while let first = queued.first, first.deadline <= now {
            queued.removeFirst()
            first.answer(.failure(.notSent("Redis can't be reached at \(url): \(lastError)")))
        }
        watch()
    }

    func close() {
        closed = true
        // First, so that the channel's own end, which may come at once, is none of ours any more.
        generation += 1
        switch link {
        case .greeting(let channel, _), .up(let channel): channel.close(promise: nil)
        case .down, .dialling: break
        }
        let (waiting, lost) = (queued, pending)
        queued.removeAll()
        pending.removeAll()
        for request in waiting { request.answer(.failure(.notSent("the client was closed"))) }
        for (request, _) in lost { request.answer(.failure(.outcomeUnknown("the client was closed"))) }
        link = .down
        me = nil
    }
}
