/// Where Redis is: `redis://[user:password@]host:port[/db]`, `rediss://` for TLS, `unix:///path[?db=N]`.

package struct RedisURL: Sendable, Equatable, CustomStringConvertible {
    package enum Address: Sendable, Equatable {
        case tcp(host: String, port: Int, tls: Bool)
        case unix(path: String)
    }

    /// What is wrong with a URL; never holds its password.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    package var address: Address
    package var user: String?
    package var password: String?
    package var database: Int

    package init(unix path: String, database: Int = 0) {
        address = .unix(path: path)
        (self.database, user, password) = (database, nil, nil)
    }

    package init(_ text: String) throws(Invalid) {
        guard let colon = text.range(of: "://") else {
            throw Invalid(description: "must begin with redis://, rediss:// or unix://")
        }
        let scheme = text[..<colon.lowerBound].lowercased()
        var rest = text[colon.upperBound...]
        var query = Substring()
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        user = nil
        password = nil
        database = 0
        switch scheme {
        case "unix":
            if let at = rest.lastIndex(of: "@") {
                (user, password) = try Self.credentials(rest[..<at])
                rest = rest[rest.index(after: at)...]
            }
            guard rest.hasPrefix("/") else { throw Invalid(description: "a unix:// URL needs an absolute path") }
            guard rest.utf8.count <= 107 else {
                throw Invalid(description: "a socket path ends at 107 bytes, this one has \(rest.utf8.count)")
            }
            address = .unix(path: try Self.decoded(rest))
        case "redis", "rediss":
            if let at = rest.lastIndex(of: "@") {
                (user, password) = try Self.credentials(rest[..<at])
                rest = rest[rest.index(after: at)...]
            }
            var path = Substring()
            if let slash = rest.firstIndex(of: "/") {
                path = rest[rest.index(after: slash)...]
                rest = rest[..<slash]
            }
            if !path.isEmpty { database = try Self.database(path) }
            let (host, port) = try Self.hostAndPort(rest)
            address = .tcp(host: host, port: port, tls: scheme == "rediss")
        default:
            throw Invalid(description: "must begin with redis://, rediss:// or unix://")
        }
        for pair in query.split(separator: "&") {
            guard pair.hasPrefix("db=") else { throw Invalid(description: "knows no parameter but db") }
            database = try Self.database(pair.dropFirst(3))
        }
    }

    /// Without the password.
    package var description: String {
        let suffix = database == 0 ? "" : "/\(database)"
        return switch address {
        case .tcp(let host, let port, let tls): "\(tls ? "rediss" : "redis")://\(host):\(port)\(suffix)"
        case .unix(let path): "unix://\(path)\(database == 0 ? "" : "?db=\(database)")"
        }
    }

    private static func credentials(_ text: Substring) throws(Invalid) -> (String?, String?) {
        guard let colon = text.firstIndex(of: ":") else { return (nil, text.isEmpty ? nil : try decoded(text)) }
        let user = try decoded(text[..<colon])
        return (user.isEmpty ? nil : user, try decoded(text[text.index(after: colon)...]))
    }

    private static func database(_ text: Substring) throws(Invalid) -> Int {
        guard let number = Int(text), (0...65_535).contains(number) else {
            throw Invalid(description: "the database must be a number")
        }
        return number
    }

    private static func hostAndPort(_ text: Substring) throws(Invalid) -> (String, Int) {
        var host = text
        var port = Substring("6379")
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            if rest.hasPrefix(":") {
                port = rest.dropFirst()
            } else if !rest.isEmpty {
                throw Invalid(description: "has something unreadable behind the host")
            }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
        }
        guard !host.isEmpty else { throw Invalid(description: "names no host") }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw Invalid(description: "the port must be a number from 1 to 65535")
        }
        return (String(host), number)
    }

    private static func decoded(_ text: Substring) throws(Invalid) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { throw Invalid(description: "holds a broken percent escape") }
            bytes.append(value)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension String {
    fileprivate func range(of part: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }
}
