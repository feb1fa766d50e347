/// The listening socket and its connections: SwiftNIO's HTTP/1.1, bounded in every direction.

import Domain
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

package struct FrontSettings: Sendable {
    package var host = "127.0.0.1"
    package var port = 8080
    /// More are refused at once, so that the ones that are served keep their memory; one address gets half of them at most.
    package var maxConnections = 20_000
    package var maxHeaderBytes = 64 << 10
    package var maxHeaders = 256
    /// A request line with its headers must be whole within this time, and so must the pause between two requests end.
    package var headTimeout: TimeAmount = .seconds(60)
    /// A body must bring its next `bodyStep` bytes, or its end, within this time: one that is dripped ends the connection.
    package var bodyTimeout: TimeAmount = .seconds(30)
    package var bodyStep = 64 << 10
    /// Bytes of all bodies that are being read; above it a further body is refused with 503 before it is read.
    package var maxBodiesBytes = 512 << 20
    /// Bytes of a request body, by method and raw target; more is 413.
    package var maxBody: @Sendable (_ method: String, _ target: String) -> Int = { _, _ in 1 << 20 }
    /// Asked before a large body is read: why the request is refused, nil where it may go on.
    package var admits: @Sendable (APIRequest) -> Refusal? = { _ in nil }
    /// Asked first, on the thread of the connection, which it must not keep: true where it will answer the request by the
    /// closure, called once on any thread; false, with nothing done, where the responder is to.
    package var takes: @Sendable (APIRequest, @escaping @Sendable (APIResponse) -> Void) -> Bool = { _, _ in false }
    /// TLS with this certificate; nil for plain HTTP.
    package var certificate: ServerCertificate?
    package init() {}
}

/// An answer that needs no reading of the body.
package struct Refusal: Sendable {
    package var error: RequestError
    /// How long it is held back.
    package var delay: Duration

    package init(_ error: RequestError, after delay: Duration = .zero) { (self.error, self.delay) = (error, delay) }
}

package typealias Responder = @Sendable (APIRequest) async -> APIResponse

/// Why NIO's HTTP and no framework on top: the raw target must survive, a refused body must not be read, every error
/// must carry its JSON, and the publish path pays for nothing else.
package final class HTTPFront: Sendable {
    private struct State {
        var listening: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        /// How many of them come from one address.
        var callers: [String: Int] = [:]
        /// Connections end with their next answer, new ones too.
        var isDraining = false
        var hasEnded = false
    }

    private let settings: FrontSettings
    private let group: any EventLoopGroup
    private let respond: Responder
    private let metrics: APIMetrics
    private let logger: Logger
    private let state = Mutex(State())

    package init(
        settings: FrontSettings, group: any EventLoopGroup, metrics: APIMetrics, logger: Logger,
        respond: @escaping Responder
    ) {
        (self.settings, self.group, self.metrics, self.logger) = (settings, group, metrics, logger)
        self.respond = respond
    }

    /// Binds and begins to serve; answers the port (of interest where 0 was asked for).
    package func start() async throws -> Int {
        let (settings, respond, metrics, logger) = (settings, respond, metrics, logger)
        let bodies = BodyRoom()
        let limits = {
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = settings.maxHeaderBytes
            limits.maxHeaderListSize = settings.maxHeaderBytes
            limits.maxHeaderFieldCount = settings.maxHeaders
            return limits
        }()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard self.admit(channel) else { throw FrontError.tooManyConnections }
                    let ahead = ReadAhead()
                    try channel.pipeline.syncOperations.addHandler(ahead)
                    if let certificate = settings.certificate {
                        try channel.pipeline.syncOperations.addHandler(certificate.handler())
                    }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withPipeliningAssistance: true, withErrorHandling: false,
                        withOutboundHeaderValidation: true, withEncoderConfiguration: .init(),
                        withDecoderLimitConfiguration: limits)
                    let loop = channel.eventLoop
                    try channel.pipeline.syncOperations.addHandler(
                        HTTPConnection(
                            settings: settings, bodies: bodies, metrics: metrics, logger: logger, loop: loop,
                            ahead: ahead, keepsAlive: !self.state.withLock { $0.isDraining }, respond: respond))
                }
            }
            .bind(host: settings.host, port: settings.port).get()
        state.withLock { $0.listening = channel }
        return channel.localAddress?.port ?? settings.port
    }

    private enum FrontError: Error { case tooManyConnections }

    /// An address holds no more than what is left for all others, so that one caller can't close the door: the same idea as
    /// the node share of a lane.
    private func admit(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let address = channel.remoteAddress?.ipAddress ?? ""
        let admitted = state.withLock { state in
            let left = settings.maxConnections - state.connections.count
            guard !state.hasEnded, state.callers[address, default: 0] < left else { return false }
            state.connections[id] = channel
            state.callers[address, default: 0] += 1
            return true
        }
        guard admitted else { return false }
        metrics.connections(1)
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { state in
                state.connections[id] = nil
                let left = state.callers[address, default: 1] - 1
                state.callers[address] = left > 0 ? left : nil
            }
            self.metrics.connections(-1)
        }
        return true
    }

    /// Closes what is idle at once, and all others with their next answers. Who connects from here on is served once.
    package func drain() {
        let open = state.withLock { state in
            state.isDraining = true
            return Array(state.connections.values)
        }
        for channel in open { channel.pipeline.fireUserInboundEventTriggered(HTTPConnection.Drain()) }
    }

    /// Accepts no more, and lets requests under way end (within `limit`).
    package func shutDown(within limit: Duration) async {
        let (listening, open) = state.withLock { state in
            state.hasEnded = true
            return (state.listening, Array(state.connections.values))
        }
        drain()
        try? await listening?.close().get()
        let group = group
        let cutOff = group.next().scheduleTask(
            in: .nanoseconds(limit.components.seconds * 1_000_000_000 + limit.components.attoseconds / 1_000_000_000)
        ) { for channel in open { channel.close(promise: nil) } }
        for channel in open { try? await channel.closeFuture.get() }
        cutOff.cancel()
    }
}
