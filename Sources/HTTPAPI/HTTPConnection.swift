/// One connection: collects a request within its limits, has it answered, writes the answer.

import Domain
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// NIO's pipelining handler in front of it hands over one request at a time, and holds back the next until the
/// answer is written whole.
final class HTTPConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Sent down the pipeline when the server stops: the connection ends with the answer under way.
    struct Drain: Sendable {}

    private enum State {
        case idle
        /// Its body so far stands in `body`: it must have one owner while it grows, or every part copies it.
        ///
        /// - Parameter length: what its head says.
        case reading(HTTPRequestHead, limit: Int, length: Int?)
        /// The answer is being made; nothing is read until it is written.
        case answering
        /// The answer is written but for its end, until the peer has taken most of it: the end brings the next request, and
        /// who asks without reading must not fill the memory with answers.
        case writing
        /// Refused or broken: the answer is written, what still arrives is dropped until the peer closes.
        case lingering
    }

    private let settings: FrontSettings
    private let metrics: APIMetrics
    private let logger: Logger
    private let respond: Responder
    private let bodies: BodyRoom
    private let ahead: ReadAhead
    private var state = State.idle
    private var body: [UInt8] = []
    /// Bytes of `body` that are counted in `bodies`, until the answer is there.
    private var charged = 0
    private var isHead = false
    /// Asked for once: each time it costs a call of the system.
    private var peer = ""
    private var keepsAlive: Bool
    private let timer: ConnectionTimer
    /// Sends the parts of an answer that has no end of its own.
    private var streaming: Task<Void, Never>?

    init(
        settings: FrontSettings, bodies: BodyRoom, metrics: APIMetrics, logger: Logger, loop: any EventLoop,
        ahead: ReadAhead, keepsAlive: Bool, respond: @escaping Responder
    ) {
        (self.settings, self.bodies, self.metrics, self.ahead) = (settings, bodies, metrics, ahead)
        (self.logger, self.keepsAlive, self.respond) = (logger, keepsAlive, respond)
        timer = ConnectionTimer(loop)
    }

    func channelActive(context: ChannelHandlerContext) {
        peer = context.remoteAddress?.ipAddress ?? ""
        startTimer(settings.headTimeout, context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer.end()
        giveBackRoom()
        streaming?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle): begin(head, context)
        case (.body(let part), .reading(let head, let limit, let length)):
            collect(part, head: head, limit: limit, length: length, context)
        case (.end, .reading(let head, _, _)): answer(head, context)
        case (_, .lingering), (_, .answering), (_, .writing), (_, .idle), (.head, .reading): break
        }
    }

    // MARK: reading

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        var head = head
        RequestFraming.reduceToPath(&head.uri)
        keepsAlive = head.isKeepAlive && keepsAlive
        isHead = head.method == .HEAD
        body = []
        let limit = settings.maxBody(head.method.rawValue, head.uri)
        let framing = RequestFraming(head)
        if let error = framing.fault { return refuse(Refusal(error), context) }
        let length = framing.length ?? 0
        if length > limit { return refuse(Refusal(.messageTooLarge(limit: limit)), context) }
        if length > Self.freeBytes || framing.expectation != nil, let refusal = settings.admits(request(head)) {
            return refuse(refusal, context)
        }
        if framing.expectation.map({ ASCII.equalIgnoringCase($0, "100-continue") }) == true {
            let goOn = HTTPResponseHead(version: head.version, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(goOn)), promise: nil)
        }
        state = .reading(head, limit: limit, length: framing.length)
        startBodyTimer(context)
    }

    /// Bytes of a body that are collected before the caller has shown a token, and that are counted with nobody else's.
    private static let freeBytes = 4 << 10

    private func collect(
        _ part: ByteBuffer, head: HTTPRequestHead, limit: Int, length: Int?, _ context: ChannelHandlerContext
    ) {
        let before = body.count
        let size = before + part.readableBytes
        guard size <= limit else { return refuse(Refusal(.messageTooLarge(limit: limit)), context) }
        if size > Self.freeBytes {
            if before <= Self.freeBytes, let refusal = settings.admits(request(head)) {
                return refuse(refusal, context)
            }
            guard bodies.take(size - charged, atMost: settings.maxBodiesBytes) else {
                return refuse(Refusal(.tooManyLargeRequests), context)
            }
            charged = size
        }
        // A caller that has shown a token and says how much will come has the room for it at once.
        if before == 0, let length { body.reserveCapacity(min(length, limit)) }
        body.append(contentsOf: part.readableBytesView)
        if size / settings.bodyStep > before / settings.bodyStep { startBodyTimer(context) }
    }

    private func fields(_ head: HTTPRequestHead) -> [HeaderField] { head.headers.map { ($0.name, $0.value) } }

    /// As it stands before its body.
    private func request(_ head: HTTPRequestHead) -> APIRequest {
        APIRequest(
            method: head.method.rawValue, target: head.uri, headers: fields(head), peer: peer)
    }

    private func giveBackRoom() {
        bodies.giveBack(charged)
        charged = 0
    }

    // MARK: answering

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        timer.cancel()
        state = .answering
        ahead.isAnswering = true
        let body = self.body
        self.body = []
        var request = request(head)
        request.body = body
        let (respond, loop) = (respond, context.eventLoop)
        let me = NIOLoopBound((self, context), eventLoop: loop)
        let write: @Sendable (APIResponse) -> Void = { response in
            loop.execute {
                let (handler, context) = me.value
                handler.write(response, context)
            }
        }
        if settings.takes(request, write) { return }
        Task { [request] in write(await respond(request)) }
    }

    private func write(_ response: APIResponse, _ context: ChannelHandlerContext) {
        giveBackRoom()
        guard case .answering = state, context.channel.isActive else { return }
        if let stream = response.stream, !isHead { return send(response, parts: stream, context) }
        guard keepsAlive else {
            send(response, closes: true, context)
            return linger(context)
        }
        sendHead(response, closes: false, context)
        context.flush()
        if context.channel.isWritable { return finishAnswer(context) }
        state = .writing
        startTimer(settings.bodyTimeout, context)
    }

    /// Before the answer's end is written the state is idle: with it the pipelining handler hands over the next request at once.
    private func finishAnswer(_ context: ChannelHandlerContext) {
        let closes = !keepsAlive
        state = .idle
        ahead.isAnswering = false
        startTimer(settings.headTimeout, context)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if closes { context.close(promise: nil) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .writing = state, context.channel.isWritable { finishAnswer(context) }
        context.fireChannelWritabilityChanged()
    }

    private func send(_ response: APIResponse, closes: Bool, _ context: ChannelHandlerContext) {
        sendHead(response, closes: closes, context)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    /// Everything but the end.
    private func sendHead(_ response: APIResponse, closes: Bool, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        headers.reserveCapacity(response.headers.count + 2)
        for (name, value) in response.headers { headers.add(name: name, value: value) }
        headers.add(name: "Content-Length", value: String(response.body.count))
        if closes { headers.add(name: "Connection", value: "close") }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !response.body.isEmpty, !isHead {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil)
        }
    }

    /// The next part is taken when the one before is written, so a slow reader holds up its own stream only. The
    /// connection ends with it.
    private func send(_ response: APIResponse, parts: AsyncStream<[UInt8]>, _ context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        for (name, value) in response.headers { headers.add(name: name, value: value) }
        headers.add(name: "Connection", value: "close")
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: response.status), headers: headers)
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        let loop = context.eventLoop
        let me = NIOLoopBound((self, context), eventLoop: loop)
        streaming = Task {
            for await part in parts {
                let written = loop.makePromise(of: Void.self)
                loop.execute {
                    let (handler, context) = me.value
                    let data = IOData.byteBuffer(ByteBuffer(bytes: part))
                    context.writeAndFlush(handler.wrapOutboundOut(.body(data)), promise: written)
                }
                guard (try? await written.futureResult.get()) != nil, !Task.isCancelled else { break }
            }
            loop.execute {
                let (handler, context) = me.value
                guard context.channel.isActive else { return }
                handler.keepsAlive = false
                context.writeAndFlush(handler.wrapOutboundOut(.end(nil)), promise: nil)
                handler.linger(context)
            }
        }
    }

    /// Answers without having read the request, and reads no more of it than what is on its way.
    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        body = []
        giveBackRoom()
        metrics.count(status: refusal.error.status)
        keepsAlive = false
        guard refusal.delay > .zero else {
            send(APIResponse(refusal.error), closes: true, context)
            return linger(context)
        }
        state = .lingering
        timer.set(TimeAmount(refusal.delay)) {
            self.send(APIResponse(refusal.error), closes: true, context)
            self.linger(context)
        }
    }

    /// Closing at once would send a reset and could take the answer with it: so our side is closed first, and what
    /// the peer still sends is dropped for a moment.
    private func linger(_ context: ChannelHandlerContext) {
        state = .lingering
        context.close(mode: .output, promise: nil)
        startTimer(.seconds(2), context)
    }

    // MARK: ends

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            keepsAlive = false
            switch state {
            // Nobody reads on who waits for no end of the answer.
            case .answering where streaming == nil: return
            case .writing: return
            default: context.close(promise: nil)
            }
        case is Drain:
            keepsAlive = false
            streaming?.cancel()
            if case .idle = state { context.close(promise: nil) }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError else { return context.close(promise: nil) }
        switch state {
        case .idle, .reading: refuse(Refusal(answer(to: error)), context)
        case .answering, .writing: keepsAlive = false
        case .lingering: context.close(promise: nil)
        }
    }

    private func answer(to error: HTTPParserError) -> RequestError {
        switch error {
        case .headerOverflow:
            RequestError(
                status: 431,
                text:
                    "request headers too large: at most \(settings.maxHeaderBytes) bytes in \(settings.maxHeaders) headers"
            )
        case .invalidMethod: malformed("unknown method")
        case .invalidURL: malformed("a byte of the target must be percent-encoded")
        case .invalidVersion: malformed("not a version of HTTP")
        case .invalidHeaderToken: malformed("a header line holds a byte that may not stand there")
        case .invalidContentLength, .unexpectedContentLength:
            malformed("the length of the body is not given once, as a number")
        case .invalidChunkSize: malformed("the size of a chunk is not a hexadecimal number")
        default: .badRequest("malformed HTTP request")
        }
    }

    private func malformed(_ reason: String) -> RequestError { .badRequest("malformed HTTP request: \(reason)") }

    private func startBodyTimer(_ context: ChannelHandlerContext) {
        timer.set(settings.bodyTimeout) {
            self.refuse(Refusal(RequestError(status: 408, text: "the request body comes too slowly")), context)
        }
    }

    private func startTimer(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        timer.set(time) { context.close(promise: nil) }
    }
}

/// The bytes of all request bodies above a few kilobytes, of all connections: memory that callers can fill.
final class BodyRoom: Sendable {
    private let taken = Mutex(0)

    /// False, and nothing taken, where it would be more than `most`.
    func take(_ bytes: Int, atMost most: Int) -> Bool {
        taken.withLock { taken in
            guard taken + bytes <= most else { return false }
            taken += bytes
            return true
        }
    }

    func giveBack(_ bytes: Int) {
        if bytes > 0 { taken.withLock { $0 -= bytes } }
    }
}
