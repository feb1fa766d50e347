/// An HTTP endpoint that answers exactly the bytes it is told to: polite, hostile or silent.

import Foundation
import NIOCore
import NIOPosix
import Synchronization

package final class ScriptedServer: Sendable {
    /// What to do with one connection once its first request has been read whole.
    package enum Answer: Sendable {
        case bytes([UInt8])
        /// Bytes, then the end of the connection.
        case bytesThenClose([UInt8])
        /// Bytes, and others a moment later; then `done` is called.
        case bytesAndLater([UInt8], [UInt8], done: @Sendable () -> Void)
        case hang
        case close
        /// This head, then zeros until the client goes or that many bytes are sent.
        case flood(head: [UInt8], count: Int)
    }

    private let channel: any Channel
    private let received = Mutex<[[UInt8]]>([])
    package let port: Int

    package var requests: [[UInt8]] { received.withLock { $0 } }
    package var url: String { "http://127.0.0.1:\(port)" }

    package static func text(_ status: String, headers: [String] = [], body: String = "") -> [UInt8] {
        let head = ["HTTP/1.1 \(status)"] + headers + ["Content-Length: \(body.utf8.count)", "", body]
        return Array(head.joined(separator: "\r\n").utf8)
    }

    package init(host: String = "127.0.0.1", _ answer: @escaping @Sendable (_ request: [UInt8]) -> Answer) async throws
    {
        let box = Mutex<(@Sendable ([UInt8]) -> Void)?>(nil)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 4096)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(answer: answer, received: { request in box.withLock { $0 }?(request) }))
                }
            }
            .bind(host: host, port: 0).get()
        self.channel = channel
        port = channel.localAddress?.port ?? 0
        box.withLock { $0 = { [weak self] request in self?.received.withLock { $0.append(request) } } }
    }

    package func close() async { try? await channel.close().get() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: @Sendable ([UInt8]) -> Answer
        private let received: @Sendable ([UInt8]) -> Void
        private var request: [UInt8] = []

        init(answer: @escaping @Sendable ([UInt8]) -> Answer, received: @escaping @Sendable ([UInt8]) -> Void) {
            (self.answer, self.received) = (answer, received)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            request += Array(unwrapInboundIn(data).readableBytesView)
            guard let length = Self.wholeLength(request), request.count >= length else { return }
            let whole = Array(request.prefix(length))
            request.removeFirst(length)
            received(whole)
            switch answer(whole) {
            case .bytes(let bytes): write(bytes, context)
            case .bytesThenClose(let bytes):
                let channel = context.channel
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes))).whenComplete { _ in
                    channel.close(promise: nil)
                }
            case .bytesAndLater(let bytes, let later, let done):
                write(bytes, context)
                let channel = context.channel
                context.eventLoop.scheduleTask(in: .milliseconds(50)) {
                    channel.writeAndFlush(ByteBuffer(bytes: later)).whenComplete { _ in done() }
                }
            case .hang: break
            case .close: context.close(promise: nil)
            case .flood(let head, let count):
                write(head, context)
                flood(count, context)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        }

        private func flood(_ left: Int, _ context: ChannelHandlerContext) {
            guard left > 0, context.channel.isActive else { return }
            let piece = ByteBuffer(repeating: 0, count: min(left, 1 << 16))
            let me = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(piece)).whenSuccess {
                let (handler, context) = me.value
                handler.flood(left - piece.readableBytes, context)
            }
        }

        /// Head and body together; nil until the head is whole.
        private static func wholeLength(_ bytes: [UInt8]) -> Int? {
            guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: bytes[..<end.upperBound], as: UTF8.self)
            let length =
                head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.split(separator: ":")[1].trimmingCharacters(in: .whitespaces)) } ?? 0
            return head.utf8.count + length
        }
    }
}
