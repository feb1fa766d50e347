// The host and port of an absolute http(s) URL, read strictly: what curl, the lane and the address policy see must be
// the same host.

package struct URLAuthority: Sendable, Hashable {
    /// Lower case; an IPv6 address without its brackets.
    package let host: String
    package let isIPv6: Bool
    /// nil where the URL has none.
    package let port: Int?
    package let isTLS: Bool

    package enum Fault: Error, Sendable, Hashable { case noHost, userInfo, notASCII, host, port }

    /// Of a stored URL; nil when it is not an absolute http(s) URL.
    package init?(ofURL url: String) {
        let bytes = Array(url.utf8)
        let isTLS = ASCII.hasPrefixIgnoringCase(bytes, "https://".utf8)
        guard isTLS || ASCII.hasPrefixIgnoringCase(bytes, "http://".utf8) else { return nil }
        let rest = bytes[(isTLS ? 8 : 7)...]
        guard let authority = try? URLAuthority(Self.bytes(in: rest), isTLS: isTLS) else { return nil }
        self = authority
    }

    /// What stands between `//` and the first `/`, `?` or `#`.
    package static func bytes(in rest: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    }

    package init(_ authority: ArraySlice<UInt8>, isTLS: Bool) throws(Fault) {
        if authority.contains(UInt8(ascii: "@")) { throw .userInfo }
        let hostEnd: Int
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .host }
            let text = String(decoding: authority[(authority.startIndex + 1)..<close], as: UTF8.self)
            guard let address = IPAddress(ipv6: text) else { throw .host }
            host = address.description
            isIPv6 = true
            hostEnd = close + 1
        } else {
            hostEnd = authority.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
            let bytes = authority[..<hostEnd]
            if bytes.isEmpty { throw .noHost }
            try Self.check(host: bytes)
            host = String(decoding: bytes.map(ASCII.lower), as: UTF8.self)
            isIPv6 = false
        }
        port = try Self.port(authority[hostEnd...])
        self.isTLS = isTLS
    }

    /// `host` or, where the port is not the scheme's own, `host:port`; IPv6 in brackets.
    package var lane: String {
        let name = isIPv6 ? "[\(host)]" : host
        guard let port, port != (isTLS ? 443 : 80) else { return name }
        return "\(name):\(port)"
    }

    private static func port(_ text: ArraySlice<UInt8>) throws(Fault) -> Int? {
        guard let first = text.first else { return nil }
        guard first == UInt8(ascii: ":") else { throw .host }
        let digits = text.dropFirst()
        if digits.isEmpty { return nil }
        guard let port = ASCII.saturatingInteger(digits), (1...65535).contains(port) else { throw .port }
        return Int(port)
    }

    /// Letters, digits and `-._~`. Nothing percent-encoded: curl would decode it to another host than the one that was judged.
    private static func check(host: ArraySlice<UInt8>) throws(Fault) {
        guard host.count <= 255 else { throw .host }
        for (index, byte) in zip(host.indices, host) {
            switch byte {
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): continue
            case 0x80...0xFF: throw .notASCII
            case UInt8(ascii: "%"):
                throw host[index...].dropFirst().first.flatMap(ASCII.hexValue) ?? 0 >= 8 ? .notASCII : .host
            default: if !ASCII.isAlphanumeric(byte) { throw .host }
            }
        }
    }
}
