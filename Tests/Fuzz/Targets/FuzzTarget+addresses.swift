// Where a message goes: what Roost judges must be what libcurl and the C library see.

import CCurl
import Domain
import Foundation

extension FuzzTarget {
    static func destination(_ bytes: [UInt8]) throws {
        let remainder = text(bytes)
        let parsed = try unlessRefused { () throws(RequestError) in try DestinationParser.parse(remainder: remainder) }
        switch parsed?.destination {
        case .url(let url): try destination(url, givenAs: Array(remainder.utf8))
        case .topic(let name): try hold(NameGrammar.matches(name.utf8), "a topic named \(name)")
        case nil: break
        }
        for (name, _) in parsed?.query ?? [] { try hold(name.hasPrefix("upstash-"), "\(name) is no configuration") }
        let plain = try unlessRefused { () throws(RequestError) in try DestinationParser.parse(plain: remainder) }
        if case .url(let url) = plain { try self.url(url) }
    }

    private static func destination(_ destination: String, givenAs given: [UInt8]) throws {
        try url(destination)
        // Nothing is made up: every byte behind the scheme was given, in this order, or is the encoding of one that was.
        let rest = destination.utf8.drop { $0 != UInt8(ascii: ":") }.dropFirst(3)
        let plain = Percent.decode(Array(rest))
        var position = 0
        let twice = Percent.decode(Percent.decode(given))
        for source in [given, Percent.decode(given), twice] {
            position = 0
            for byte in source where position < plain.count && byte == plain[position] { position += 1 }
            if position == plain.count { break }
        }
        try hold(position == plain.count || plain.contains(UInt8(ascii: "?")), "\(destination) was not given")
    }

    /// What must hold of every URL that is accepted.
    static func url(_ url: String) throws {
        try hold(url.hasPrefix("http://") || url.hasPrefix("https://"), "the scheme of \(url)")
        try hold(url.utf8.allSatisfy { 0x21...0x7E ~= $0 }, "a byte of \(url) can't be sent")
        try hold(url.utf8.count <= Limits().maxURLBytes, "a URL of \(url.utf8.count) bytes")
        let again = try? DestinationURL.read(url, limits: Limits())
        try hold(again == url, "read again it is \(again ?? "refused")")
        guard let authority = URLAuthority(ofURL: url) else { throw Finding(description: "no authority in \(url)") }
        let policy = AddressPolicy()
        try hold(policy.refusal(ofLiteral: authority) == policy.refusal(ofLiteral: authority), "judged twice")
        guard let (host, port) = curlParts(of: url) else { return }
        let own = authority.isIPv6 ? "[\(authority.host)]" : authority.host
        let isSame =
            ASCII.equalIgnoringCase(host, text(Percent.decode(Array(own.utf8))))
            || literal(host) != nil && literal(host) == literal(own)
        try hold(isSame, "libcurl goes to \(host), judged was \(own)")
        try hold(port == authority.port ?? (authority.isTLS ? 443 : 80), "libcurl takes port \(port)")
    }

    private static func literal(_ host: String) -> IPAddress? {
        host.hasPrefix("[") ? IPAddress(ipv6: String(host.dropFirst().dropLast())) : IPAddress(shorthandIPv4: host)
    }

    /// Host and port as libcurl reads them; nil where it refuses the URL.
    private static func curlParts(of url: String) -> (host: String, port: Int)? {
        guard let handle = curl_url() else { return nil }
        defer { curl_url_cleanup(handle) }
        guard curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK else { return nil }
        func part(_ part: CURLUPart, _ flags: UInt32) -> String? {
            var text: UnsafeMutablePointer<CChar>?
            guard curl_url_get(handle, part, &text, flags) == CURLUE_OK, let text else { return nil }
            defer { curl_free(text) }
            return String(cString: text)
        }
        guard let host = part(CURLUPART_HOST, 0), let port = part(CURLUPART_PORT, 1).flatMap({ Int($0) }) else {
            return nil
        }
        return (host, port)
    }

    static func address(_ bytes: [UInt8]) throws {
        let text = text(bytes)
        guard !text.utf8.contains(0) else { return }
        var six = in6_addr()
        // glibc reads a zone's number as part of no address; neither do we.
        let isSix = inet_pton(AF_INET6, text, &six) == 1
        let own = IPAddress(ipv6: text)
        try hold((own != nil) == isSix, "\(text) is \(isSix ? "" : "not ")an IPv6 address")
        if let own { try hold(withUnsafeBytes(of: six) { Array($0) } == own.bytes, "\(text) is not \(own)") }
        var four = in_addr()
        // Blanks end an address for the C library, and nothing is left of it in a URL.
        if !text.utf8.contains(where: { isspace(Int32($0)) != 0 }) {
            let isFour = inet_aton(text, &four) == 1
            let short = IPAddress(shorthandIPv4: text)
            // Other libraries take a bare `0x` for nothing, so it is judged as an address.
            let isBare = ASCII.lowercased(text).split(separator: ".").contains("0x")
            try hold((short != nil) == isFour || isBare, "\(text) is \(isFour ? "" : "not ")an IPv4 address")
            if let short, isFour {
                try hold(withUnsafeBytes(of: four) { Array($0) } == short.bytes, "\(text) is not \(short)")
            }
        }
        if let address = IPAddress(text) {
            try hold(IPAddress(address.description) == address, "\(address) reads as another")
            let policy = AddressPolicy()
            try hold(
                policy.refusal(of: address) == policy.refusal(ofBytes: address.bytes), "its bytes are judged apart")
            let open = AddressPolicy(allowsPrivate: true)
            try hold(policy.refusal(of: address) != nil || open.refusal(of: address) == nil, "open is closed")
        }
        if let network = Network(text) {
            try hold(network.contains(network.address), "\(text) does not hold its own address")
        }
    }
}
