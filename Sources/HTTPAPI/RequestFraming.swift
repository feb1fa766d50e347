/// Where a request ends, by its head; read in one walk along the headers.

import Domain
import NIOHTTP1

struct RequestFraming {
    private var hosts = 0
    private var host: String?
    private var codings = 0
    private var coding: String?
    private let isModern: Bool
    /// Of the body, in bytes; the parser lets lengths through that no Int holds, which are the largest Int.
    private(set) var length: Int?
    /// The first `Expect`.
    private(set) var expectation: String?

    init(_ head: HTTPRequestHead) {
        isModern = head.version != .http1_0 && head.version != .http0_9
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4 where ASCII.equalIgnoringCase(name, "host"):
                hosts += 1
                host = host ?? value
            case 6 where ASCII.equalIgnoringCase(name, "expect"): expectation = expectation ?? value
            case 14 where ASCII.equalIgnoringCase(name, "content-length"): length = length ?? Int(value) ?? .max
            case 17 where ASCII.equalIgnoringCase(name, "transfer-encoding"):
                codings += 1
                coding = coding ?? value
            default: break
            }
        }
    }

    /// A target may name the whole URL of this server, as it does for a proxy (RFC 9112 §3.2.2).
    static func reduceToPath(_ target: inout String) {
        guard target.utf8.first != UInt8(ascii: "/") else { return }
        let bytes = Array(target.utf8)
        for scheme in ["http://", "https://"] where ASCII.hasPrefixIgnoringCase(bytes, scheme.utf8) {
            let path = bytes[scheme.utf8.count...].drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            target = (path.first == UInt8(ascii: "/") ? "" : "/") + String(decoding: path, as: UTF8.self)
        }
    }

    /// What would let this server and a proxy before it read one request in two ways (RFC 9112 §3.2 and §6.1).
    var fault: RequestError? {
        let hostIsFine = host.map { host in
            host.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && !"/?#@\\".utf8.contains($0) }
        }
        guard hosts <= 1, hostIsFine ?? !isModern else {
            return .badRequest("malformed HTTP request: exactly one valid Host header is needed")
        }
        guard let coding else { return nil }
        guard codings == 1, ASCII.equalIgnoringCase(coding, "chunked") else {
            return RequestError(status: 501, text: "transfer coding not supported: only chunked")
        }
        return isModern ? nil : .badRequest("malformed HTTP request: HTTP/1.0 has no transfer codings")
    }
}
