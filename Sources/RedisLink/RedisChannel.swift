/// One connection: NIO moves the bytes, hiredis reads the protocol. Used by the client and by the subscription.

import NIOCore
import NIOPosix
import NIOSSL

/// Reads replies off a channel. Lives on its event loop; not Sendable, and never leaves it.
final class RedisReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let reader = RedisReplyReader()
    private let onReply: (RedisValue) -> Void
    private let onEnd: () -> Void
    private var ended = false

    init(onReply: @escaping (RedisValue) -> Void, onEnd: @escaping () -> Void) {
        (self.onReply, self.onEnd) = (onReply, onEnd)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !ended else { return }
        let isReadable = unwrapInboundIn(data).withUnsafeReadableBytes { reader.read($0, onReply) }
        if !isReadable { end(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(context) }

    private func end(_ context: ChannelHandlerContext) {
        context.close(promise: nil)
        finish()
    }

    private func finish() {
        guard !ended else { return }
        ended = true
        onEnd()
    }
}

extension RedisURL {
    /// The commands that open a connection, in order; every reply to them must be no error.
    func handshake(name: String) -> [RedisCommand] {
        var commands: [RedisCommand] = []
        if let password {
            commands.append(user.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password))
        }
        if database != 0 { commands.append(RedisCommand("SELECT", String(database))) }
        commands.append(RedisCommand("CLIENT", "SETNAME", name))
        return commands
    }

    /// Connects; `handler` is made on the event loop, for one connection.
    func connect(
        on loop: any EventLoop, handler: @escaping @Sendable () -> RedisReplyHandler
    ) -> EventLoopFuture<any Channel> {
        let address = address
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(2))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 65_536, maximum: 1 << 20)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .tcp(let host, _, true) = address {
                        let context = try NIOSSLContext(configuration: .makeClientConfiguration())
                        let isName = !host.utf8.allSatisfy { ($0 >= 48 && $0 <= 58) || $0 == 46 } && !host.contains(":")
                        try channel.pipeline.syncOperations.addHandler(
                            try NIOSSLClientHandler(context: context, serverHostname: isName ? host : nil))
                    }
                    try channel.pipeline.syncOperations.addHandler(handler())
                }
            }
        return switch address {
        case .tcp(let host, let port, _): bootstrap.connect(host: host, port: port)
        case .unix(let path):
            ClientBootstrap(group: loop)
                .connectTimeout(.seconds(2))
                .channelOption(
                    .recvAllocator,
                    value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 65_536, maximum: 1 << 20)
                )
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler()) }
                }
                .connect(unixDomainSocketPath: path)
        }
    }
}
