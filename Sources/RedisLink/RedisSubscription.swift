/// A connection of its own for pub/sub: it subscribes again by itself and says so, since what was published in
/// between is lost.

import Logging
import NIOCore
import NIOPosix

package final class RedisSubscription: Sendable {
    package enum Event: Sendable, Equatable {
        /// Subscribed, for the first time or again.
        case subscribed
        case message(channel: String, payload: String)
    }

    private let loop: any EventLoop
    private let core: NIOLoopBoundBox<RedisSubscriptionCore>

    /// `onEvent` is called on the event loop, which it must not keep.
    package init(
        url: RedisURL, channel: String, name: String = "roost-wake", loop: any EventLoop, logger: Logger,
        onEvent: @escaping @Sendable (Event) -> Void
    ) {
        self.loop = loop
        core = NIOLoopBoundBox.makeBoxSendingValue(
            RedisSubscriptionCore(
                url: url, channel: channel, name: name, loop: loop, logger: logger, onEvent: onEvent),
            eventLoop: loop)
        let core = core
        loop.execute { core.value.start(core) }
    }

    package func shutDown() async {
        let core = core
        try? await loop.submit { core.value.close() }.get()
    }
}

/// On its event loop only.
final class RedisSubscriptionCore {
    private let url: RedisURL
    private let channelName: String
    private let name: String
    private let loop: any EventLoop
    private let logger: Logger
    private let onEvent: @Sendable (RedisSubscription.Event) -> Void
    private var me: NIOLoopBoundBox<RedisSubscriptionCore>?

    private var channel: (any Channel)?
    private var generation = 0
    private var backoff = Int64(10)
    private var closed = false
    /// False when a heartbeat was sent and nothing has come since.
    private var heard = true

    init(
        url: RedisURL, channel: String, name: String, loop: any EventLoop, logger: Logger,
        onEvent: @escaping @Sendable (RedisSubscription.Event) -> Void
    ) {
        (self.url, channelName, self.name, self.loop, self.logger, self.onEvent) = (
            url, channel, name, loop, logger, onEvent
        )
    }

    func start(_ me: NIOLoopBoundBox<RedisSubscriptionCore>) {
        self.me = me
        dial()
        beat()
    }

    private func dial() {
        guard !closed, let me else { return }
        generation += 1
        let turn = generation
        url.connect(on: loop) {
            RedisReplyHandler(
                onReply: { me.value.received($0, turn: turn) }, onEnd: { me.value.ended(turn: turn) })
        }.whenComplete { result in
            switch result {
            case .success(let channel): me.value.connected(channel, turn: turn)
            case .failure: me.value.ended(turn: turn)
            }
        }
    }

    private func connected(_ channel: any Channel, turn: Int) {
        guard turn == generation, !closed else {
            channel.close(promise: nil)
            return
        }
        self.channel = channel
        heard = true
        var buffer = channel.allocator.buffer(capacity: 256)
        for command in url.handshake(name: name) + [RedisCommand("SUBSCRIBE", channelName)] {
            buffer.writeBytes(command.encoded)
        }
        channel.writeAndFlush(buffer, promise: nil)
    }

    private func received(_ value: RedisValue, turn: Int) {
        guard turn == generation else { return }
        heard = true
        if case .error(let text) = value {
            logger.warning("Redis refuses the subscription: \(text)")
            channel?.close(promise: nil)
            return
        }
        guard let parts = value.array, parts.count == 3 else { return }
        switch parts[0].string {
        case "subscribe":
            backoff = 10
            onEvent(.subscribed)
        case "message":
            onEvent(.message(channel: parts[1].string ?? "", payload: parts[2].string ?? ""))
        default: break
        }
    }

    private func ended(turn: Int) {
        guard turn == generation else { return }
        channel = nil
        guard !closed, let me else { return }
        loop.scheduleTask(in: .milliseconds(backoff)) { me.value.dial() }
        backoff = min(backoff * 2, 1000)
        generation += 1
    }

    /// A peer that is gone without a word is noticed within ten seconds.
    private func beat() {
        guard !closed, let me else { return }
        loop.scheduleTask(in: .seconds(5)) { me.value.beat() }
        guard let channel else { return }
        guard heard else { return channel.close(promise: nil) }
        heard = false
        var buffer = channel.allocator.buffer(capacity: 16)
        buffer.writeBytes(RedisCommand("PING").encoded)
        channel.writeAndFlush(buffer, promise: nil)
    }

    func close() {
        closed = true
        generation += 1
        channel?.close(promise: nil)
        channel = nil
        me = nil
    }
}
