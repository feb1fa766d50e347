// Checks the URLs clients name: destinations, endpoints of groups, callbacks (contract publish.md §2, step 3).

package enum DestinationURL {
    /// The URL with its scheme in lower case and `://`, the rest byte for byte but for bytes outside ASCII, which can't
    /// be sent and are percent-encoded, so that what is stored is what is delivered and signed; nil where the text does not begin with
    /// a scheme of ours.
    ///
    /// - `mended`: accept one slash after the scheme as two, because proxies merge them in paths.
    package static func read(
        _ bytes: [UInt8], mended: Bool, maxBytes: Int
    ) throws(RequestError) -> String? {
        let isTLS = ASCII.hasPrefixIgnoringCase(bytes, "https:/".utf8)
        guard isTLS || ASCII.hasPrefixIgnoringCase(bytes, "http:/".utf8) else { return nil }
        let colon = isTLS ? 5 : 4
        let slashes = bytes[(colon + 1)...].prefix(while: { $0 == UInt8(ascii: "/") }).count
        if slashes > 2 { throw .noHost }
        if slashes == 1 && !mended { return nil }
        let rest = bytes[(colon + 1 + slashes)...]
        let scheme = isTLS ? "https://" : "http://"
        var (outsideASCII, hasFragment, hasControl) = (0, false, false)
        for byte in rest {
            if byte > 0x7F { outsideASCII += 1 }
            hasFragment = hasFragment || byte == UInt8(ascii: "#")
            hasControl = hasControl || byte <= 0x20 || byte == 0x7F
        }
        // As it is stored and sent: a byte outside ASCII becomes three.
        if scheme.utf8.count + rest.count + 2 * outsideASCII > maxBytes {
            throw .destination("longer than \(maxBytes) bytes")
        }
        // It would be cut off by everyone who sends the URL, and what was signed would not be what was sent.
        if hasFragment { throw .destination("endpoint has a fragment") }
        do {
            _ = try URLAuthority(URLAuthority.bytes(in: rest), isTLS: isTLS)
        } catch {
            switch error {
            case .noHost: throw .noHost
            case .userInfo: throw .userInfo
            case .notASCII: throw .destination("endpoint has a host that is not ASCII, give its punycode form")
            case .host: throw .destination("endpoint has invalid host")
            case .port: throw .destination("endpoint has invalid port")
            }
        }
        if hasControl { throw .destination("endpoint contains a blank or a control character") }
        let sent = outsideASCII == 0 ? Array(rest) : Percent.encode(rest) { $0 > 0x7F }
        return String(decoding: Array(scheme.utf8) + sent, as: UTF8.self)
    }

    /// An absolute URL given in JSON or a header value, where nothing merges slashes.
    package static func read(_ text: String, limits: Limits) throws(RequestError) -> String {
        guard let url = try read(Array(text.utf8), mended: false, maxBytes: limits.maxURLBytes) else {
            throw .noScheme
        }
        return url
    }
}
