/// One transfer: its options on the way in, the response as it arrives, within bounds of memory.

import CCurl
import Foundation

final class CurlTransfer {
    let job: CurlClient.Job
    let easy: OpaquePointer
    let multi: CurlMulti
    var isAdded = false

    private let settings: CurlSettings
    /// A body that goes out with the headers: curl needs an address that stays. Of no bytes for a larger one, which curl asks for
    /// as it sends it.
    private let body: UnsafeMutableRawBufferPointer
    private static let mostCopied = 64 << 10
    /// Bytes of a larger one that curl has taken.
    private var taken = 0
    private var headerList: UnsafeMutablePointer<curl_slist>?

    private var status = 0
    /// The lines of the answer's headers, each with a line feed behind it.
    private var headers: [UInt8] = []
    private var headerBytes = 0
    private var headerLines = 0
    /// Of all answers, interim ones and trailers included.
    private static let mostHeaderLines = 2000
    private var headersAreWhole = false
    private var headersTooLarge = false
    private var switchesProtocol = false
    private var isCoded = false
    /// Sockets made for this transfer; none where it took a connection that stood open.
    private var opened: [Int32] = []
    /// The open connection had an answer waiting before anything was asked.
    private(set) var mustConnectAnew = false
    /// Bytes of the response body that were not kept.
    private var dropped = 0
    private var response: [UInt8] = []
    private var truncated = false
    private var blocked: String?
    private var lookup: CurlLookups.Lookup?
    /// Why none was begun.
    private var noLookup: HTTPFailure?
    /// Why this machine gave no socket.
    private var exhausted: String?

    init(job: CurlClient.Job, easy: OpaquePointer, multi: CurlMulti, settings: CurlSettings) {
        (self.job, self.easy, self.multi, self.settings) = (job, easy, multi, settings)
        let isCopied = job.exchange.body.count <= Self.mostCopied
        body = .allocate(byteCount: isCopied ? max(1, job.exchange.body.count) : 0, alignment: 1)
        if isCopied { body.copyBytes(from: job.exchange.body) }
        _ = Unmanaged.passRetained(self)
    }

    /// Ends what `init` began; after the handle left its multi. The handle itself goes back to the pool.
    func release() {
        if let lookup { multi.lookups.abandon(lookup) }
        lookup = nil
        curl_easy_reset(easy.raw)
        if let headerList { curl_slist_free_all(headerList) }
        headerList = nil
        body.deallocate()
        Unmanaged.passUnretained(self).release()
    }

    func prepare() -> HTTPFailure? {
        let exchange = job.exchange
        guard !exchange.url.utf8.contains(0), exchange.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            return .other("the URL holds a blank or a control character")
        }
        let handle = easy.raw
        let me = Unmanaged.passUnretained(self).toOpaque()
        _ = roost_set_text(handle, CURLOPT_URL, exchange.url)
        _ = roost_set_pointer(handle, CURLOPT_PRIVATE, me)
        _ = roost_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = roost_set_long(handle, CURLOPT_PATH_AS_IS, 1)
        _ = roost_set_long(handle, CURLOPT_QUICK_EXIT, 1)
        _ = roost_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = roost_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        _ = roost_set_long(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        _ = roost_set_text(handle, CURLOPT_PROXY, settings.proxy ?? "")
        // Else NO_PROXY of the environment would send some of them past the proxy, which stands guard.
        _ = roost_set_text(handle, CURLOPT_NOPROXY, "")
        if settings.trustsAnyCertificate {
            _ = roost_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0)
            _ = roost_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0)
        }
        if let file = settings.caFile { _ = roost_set_text(handle, CURLOPT_CAINFO, file) }
        // With a folder of roots beside the file curl reads all of them again for each connection: 45 ms.
        if settings.caFile != nil || Self.hasBundle { _ = roost_set_text(handle, CURLOPT_CAPATH, nil) }
        _ = roost_set_long(handle, CURLOPT_CA_CACHE_TIMEOUT, 3600)
        let timeout = min(max(1, exchange.timeoutMilliseconds), Int(Int32.max))
        _ = roost_set_long(handle, CURLOPT_TIMEOUT_MS, timeout)
        _ = roost_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, timeout)
        setRequest(handle, exchange)
        setCallbacks(handle, me)
        return nil
    }

    /// Whether curl's own file of trust roots is there; else its folder must do.
    private static let hasBundle: Bool = {
        guard let file = roost_curl_roots() else { return false }
        return access(file, R_OK) == 0
    }()

    private func setRequest(_ handle: UnsafeMutableRawPointer, _ exchange: HTTPExchange) {
        // POST with another method's name: curl then sends a body and its length whatever the method is.
        _ = roost_set_long(handle, CURLOPT_POST, 1)
        _ = roost_set_text(handle, CURLOPT_CUSTOMREQUEST, exchange.method)
        _ = roost_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(exchange.body.count))
        if body.count > 0 {
            _ = roost_set_pointer(handle, CURLOPT_POSTFIELDS, body.baseAddress)
        } else {
            setBodySource(handle)
        }
        var hasContentType = false
        var line: [UInt8] = []
        line.reserveCapacity(512)
        for (name, value) in exchange.headers {
            if name.utf8.count == 12, name.lowercased() == "content-type" { hasContentType = true }
            line.removeAll(keepingCapacity: true)
            line.append(contentsOf: name.utf8)
            // An empty value needs curl's own notation; a colon with nothing behind it removes the header.
            line.append(contentsOf: value.isEmpty ? ";".utf8 : ": ".utf8)
            line.append(contentsOf: value.utf8)
            line.append(0)
            headerList = line.withUnsafeBytes {
                curl_slist_append(headerList, $0.baseAddress?.assumingMemoryBound(to: CChar.self))
            }
        }
        headerList = curl_slist_append(headerList, "Accept:")
        headerList = curl_slist_append(headerList, "Expect:")
        if !hasContentType { headerList = curl_slist_append(headerList, "Content-Type:") }
        _ = roost_set_pointer(handle, CURLOPT_HTTPHEADER, headerList)
    }

    private func setBodySource(_ handle: UnsafeMutableRawPointer) {
        let me = Unmanaged.passUnretained(self).toOpaque()
        _ = roost_set_pointer(handle, CURLOPT_READDATA, me)
        _ = roost_set_data(handle, CURLOPT_READFUNCTION) { target, size, count, me in
            guard let target, let me else { return Int(CURL_READFUNC_ABORT) }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue()
                .takeBody(UnsafeMutableRawBufferPointer(start: target, count: size * count))
        }
        // Where a connection that stood open turns out dead, the request begins again on a new one.
        _ = roost_set_pointer(handle, CURLOPT_SEEKDATA, me)
        _ = roost_set_seek(handle) { me, offset, origin in
            guard let me, origin == SEEK_SET else { return Int32(CURL_SEEKFUNC_CANTSEEK) }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue().seekBody(Int(clamping: offset))
        }
    }

    private func takeBody(_ target: UnsafeMutableRawBufferPointer) -> Int {
        let part = job.exchange.body[taken...].prefix(target.count)
        target.copyBytes(from: part)
        taken += part.count
        return part.count
    }

    private func seekBody(_ offset: Int) -> Int32 {
        guard (0...job.exchange.body.count).contains(offset) else { return Int32(CURL_SEEKFUNC_FAIL) }
        taken = offset
        return Int32(CURL_SEEKFUNC_OK)
    }

    private func setCallbacks(_ handle: UnsafeMutableRawPointer, _ me: UnsafeMutableRawPointer) {
        _ = roost_set_pointer(handle, CURLOPT_WRITEDATA, me)
        _ = roost_set_data(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, me in
            guard let bytes, let me else { return 0 }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue()
                .receivedBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        _ = roost_set_pointer(handle, CURLOPT_HEADERDATA, me)
        _ = roost_set_data(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, me in
            guard let bytes, let me else { return 0 }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue()
                .receivedHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        _ = roost_set_pointer(handle, CURLOPT_PREREQDATA, me)
        _ = roost_set_prereq(handle) { me, remote, _, remotePort, localPort in
            guard let me else { return Int32(CURL_PREREQFUNC_ABORT) }
            let connection = CurlConnections.Ends(
                local: UInt16(truncatingIfNeeded: localPort), remote: UInt16(truncatingIfNeeded: remotePort),
                address: remote.map { String(cString: $0) } ?? "")
            let goesOn = Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue().isAboutToSend(over: connection)
            return Int32(goesOn ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT)
        }
        _ = roost_set_pointer(handle, CURLOPT_RESOLVER_START_DATA, me)
        _ = roost_set_resolve(handle) { _, _, me in
            guard let me else { return 1 }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue().lookUp() ? 0 : 1
        }
        // A connection may outlive its first transfer: its end is told to the multi, which outlives all of them.
        _ = roost_set_pointer(handle, CURLOPT_CLOSESOCKETDATA, Unmanaged.passUnretained(multi).toOpaque())
        _ = roost_set_close(handle) { multi, descriptor in
            if let multi { Unmanaged<CurlMulti>.fromOpaque(multi).takeUnretainedValue().closed(descriptor) }
            return close(descriptor)
        }
        _ = roost_set_pointer(handle, CURLOPT_OPENSOCKETDATA, me)
        _ = roost_set_open(handle, CURLOPT_OPENSOCKETFUNCTION) { me, _, address in
            guard let me, let address else { return -1 }
            return Unmanaged<CurlTransfer>.fromOpaque(me).takeUnretainedValue().openSocket(address)
        }
    }

    /// Called before the request is written, on an open connection as on a new one. Bytes that wait on an open one were not
    /// asked for (a proxy's 408 before it closes, say), and curl 7.88 would take them for the answer to this request: then
    /// nothing is sent and the transfer starts again on a connection of its own.
    private func isAboutToSend(over connection: CurlConnections.Ends) -> Bool {
        guard opened.isEmpty else {
            multi.connections.add(opened, as: connection)
            return true
        }
        mustConnectAnew = multi.connections.hasInput(connection)
        return !mustConnectAnew
    }

    /// curl begins to look the name up; it does not for what it remembers, nor for an address.
    private func lookUp() -> Bool {
        guard lookup == nil else { return true }
        switch multi.lookups.begin(URLComponents(string: job.exchange.url)?.host ?? "") {
        case .goOn(let begun): lookup = begun
        case .silent: noLookup = .resolve
        case .tooMany: noLookup = .exhausted("too many names are being looked up")
        }
        return lookup != nil
    }

    /// To be added to a multi again.
    func connectAnew() {
        mustConnectAnew = false
        _ = roost_set_long(easy.raw, CURLOPT_FRESH_CONNECT, 1)
    }

    // MARK: what arrives

    /// An answer that goes on beyond this many bytes ends here, as it stands: no endpoint holds a slot with an endless one.
    private var mostDropped: Int { max(64 << 20, job.exchange.maxResponseBytes) }

    /// Keeps up to the limit, and takes the rest without keeping it.
    private func receivedBody(_ bytes: UnsafeRawBufferPointer) -> Int {
        let room = job.exchange.maxResponseBytes - response.count
        if room >= bytes.count {
            response.append(contentsOf: bytes)
        } else {
            response.append(contentsOf: bytes.prefix(max(0, room)))
            truncated = true
            dropped += bytes.count - max(0, room)
        }
        return dropped > mostDropped ? 0 : bytes.count
    }

    private func receivedHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        headerBytes += bytes.count
        headerLines += 1
        guard headerBytes <= job.exchange.maxHeaderBytes, headerLines <= Self.mostHeaderLines else {
            headersTooLarge = true
            return 0
        }
        var line = bytes[...]
        while let last = line.last, last == 13 || last == 10 { line = line.dropLast() }
        if line.starts(with: "HTTP/".utf8), !headersAreWhole {
            // An interim response (1xx) may have come before: only the last one's headers count.
            headers.removeAll(keepingCapacity: true)
            status = Int(String(decoding: line.drop { $0 != 32 }.dropFirst().prefix(3), as: UTF8.self)) ?? 0
        } else if line.isEmpty {
            headersAreWhole = status >= 200
            // Nobody asked for another protocol; curl would wait for more of the answer until the timeout.
            switchesProtocol = status == 101
            if switchesProtocol { return 0 }
        } else if !headersAreWhole, let first = line.first, first == 32 || first == 9 {
            // The line before goes on (RFC 9112 5.2).
            if headers.popLast() != nil {
                headers.append(contentsOf: line)
                headers.append(10)
            }
        } else if !headersAreWhole, let colon = line.firstIndex(of: 58) {
            headers.append(contentsOf: line)
            headers.append(10)
            isCoded = isCoded || (colon == 17 && Self.isUnaskedCoding(line))
            if isCoded { return 0 }
        }
        return bytes.count
    }

    /// curl unpacks transfer codings whether they were asked for or not: a few kilobytes would keep its thread for minutes.
    private static func isUnaskedCoding(_ line: Slice<UnsafeRawBufferPointer>) -> Bool {
        guard let field = HTTPResponse.fields(Array(line)).first, field.name.lowercased() == "transfer-encoding" else {
            return false
        }
        return !["chunked", "identity"].contains(field.value.lowercased())
    }

    /// The last moment before a connection: the address is known and nothing was sent.
    private func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        let family = address.pointee.family
        endLookup(resolved: true)
        if let target = Self.read(&address.pointee.addr, family: family) {
            let host = URLComponents(string: job.exchange.url)?.host ?? ""
            if let reason = settings.addressGuard(target, host) {
                blocked = reason
                return -1
            }
        } else {
            blocked = "unknown address family \(family)"
            return -1
        }
        let descriptor = socket(
            family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
        opened.append(descriptor)
        multi.sockets.opened(descriptor)
        if descriptor < 0, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) {
            exhausted = String(cString: strerror(errno)).lowercased()
        }
        return descriptor
    }

    private static func read(_ address: inout sockaddr, family: Int32) -> SocketAddress? {
        withUnsafePointer(to: &address) { pointer in
            let raw = UnsafeRawPointer(pointer)
            switch family {
            case AF_INET:
                let v4 = raw.loadUnaligned(as: sockaddr_in.self)
                let bytes = withUnsafeBytes(of: v4.sin_addr) { Array($0) }
                return SocketAddress(bytes: bytes, port: Int(UInt16(bigEndian: v4.sin_port)))
            case AF_INET6:
                let v6 = raw.loadUnaligned(as: sockaddr_in6.self)
                let bytes = withUnsafeBytes(of: v6.sin6_addr) { Array($0) }
                return SocketAddress(bytes: bytes, port: Int(UInt16(bigEndian: v6.sin6_port)))
            default:
                return nil
            }
        }
    }

    // MARK: the end

    private func endLookup(resolved: Bool) {
        if let lookup { multi.lookups.end(lookup, resolved: resolved) }
        lookup = nil
    }

    func outcome(_ result: CURLcode) -> HTTPOutcome {
        if result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_RESOLVE_PROXY {
            endLookup(resolved: false)
        }
        let isCutShort = result == CURLE_WRITE_ERROR && dropped > mostDropped
        guard result == CURLE_OK || isCutShort else { return .failure(failure(result)) }
        // curl is content with a connection that ends within the headers; the answer was not whole.
        guard headersAreWhole else { return .failure(.reset) }
        return .response(HTTPResponse(status: status, headerLines: headers, body: response, truncated: truncated))
    }

    /// curl's codes in our words.
    private func failure(_ code: CURLcode) -> HTTPFailure {
        if let blocked, code == CURLE_COULDNT_CONNECT { return .blocked(blocked) }
        if let exhausted, code == CURLE_COULDNT_CONNECT { return .exhausted(exhausted) }
        if let noLookup { return noLookup }
        if headersTooLarge { return .headersTooLarge }
        if switchesProtocol { return .malformed("101 switching protocols, unasked") }
        if isCoded { return .malformed("a transfer coding that was not asked for") }
        // curl's own limit for a single line is 100 kB, and this is how it says so.
        if code == CURLE_OUT_OF_MEMORY, !headersAreWhole { return .headersTooLarge }
        switch code {
        case CURLE_OPERATION_TIMEDOUT: return .timeout
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .resolve
        case CURLE_COULDNT_CONNECT: return connectFailure()
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE: return .reset
        case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING, CURLE_UNSUPPORTED_PROTOCOL, CURLE_HTTP2,
            CURLE_FILESIZE_EXCEEDED:
            return .malformed(Self.text(code))
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CACERT_BADFILE, CURLE_USE_SSL_FAILED:
            return .tls(Self.text(code))
        default: return .other(Self.text(code))
        }
    }

    private func connectFailure() -> HTTPFailure {
        var number = 0
        _ = roost_get_long(easy.raw, CURLINFO_OS_ERRNO, &number)
        if number == Int(ECONNREFUSED) || number == 0 { return .refused }
        return .unreachable(String(cString: strerror(Int32(clamping: number))).lowercased())
    }

    private static func text(_ code: CURLcode) -> String { String(cString: curl_easy_strerror(code)).lowercased() }
}
