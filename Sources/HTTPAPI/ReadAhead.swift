/// Keeps a connection's socket watched while its request is being answered.

import NIOCore

/// NIO's pipelining handler reads nothing while an answer is made, so NIO would take the socket out of epoll with every request and
/// put it back with every answer: two calls of the system (ops/bench.d/NOTES.md). This handler stands in front
/// of all others and asks for one read more. Nearly always nothing comes before the answer. What does is held by the pipelining
/// handler, and then nothing more is read until all that is held is answered.
final class ReadAhead: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData

    /// A request is read whole, and its answer is not written yet.
    var isAnswering = false
    private var hasComeAhead = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isAnswering { hasComeAhead = true }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if isAnswering, !hasComeAhead { context.read() }
    }

    /// The pipelining handler lets it through: it holds nothing.
    func read(context: ChannelHandlerContext) {
        hasComeAhead = false
        context.read()
    }
}
