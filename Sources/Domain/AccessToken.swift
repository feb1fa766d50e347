// Who may call what (contract conventions.md §5).

import Crypto

package struct Scopes: OptionSet, Sendable, Hashable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    /// publish, enqueue, batch
    package static let publish = Scopes(rawValue: 1)
    /// The rows marked R in the contract.
    package static let read = Scopes(rawValue: 2)
    /// Everything but keys.
    package static let manage = Scopes(rawValue: 4)
    package static let admin = Scopes(rawValue: 8)

    /// What the scopes include: `admin` everything, `manage` also `publish` and `read`.
    fileprivate var effective: Scopes {
        var all = self
        if all.contains(.admin) { all.insert(.manage) }
        if all.contains(.manage) { all.formUnion([.publish, .read]) }
        return all
    }

    /// Of a single one.
    fileprivate var name: String {
        switch self {
        case .publish: "publish"
        case .read: "read"
        case .manage: "manage"
        default: "admin"
        }
    }

    fileprivate init?(name: String) {
        switch name {
        case "publish": self = .publish
        case "read": self = .read
        case "manage": self = .manage
        case "admin": self = .admin
        default: return nil
        }
    }
}

package struct AccessToken: Sendable {
    /// For logs; the secret never is.
    package let name: String
    package let scopes: Scopes
    /// SHA-256: comparing digests takes the same time for every secret of any length.
    fileprivate let digest: [UInt8]
    /// Shorter than `shortestSecret`: a server for production refuses it.
    package let isWeak: Bool

    /// Bytes.
    package static let shortestSecret = 16

    /// The public constant of the development mode.
    package var isDevelopment: Bool { digest == Self.developmentDigest }
    private static let developmentDigest = Array(SHA256.hash(data: Array(DevelopmentCredentials.token.utf8)))

    package func hasSecret(of other: AccessToken) -> Bool { digest == other.digest }

    package init(name: String, secret: String, scopes: Scopes) {
        self.name = name
        self.scopes = scopes
        isWeak = secret.utf8.count < Self.shortestSecret
        digest = Array(SHA256.hash(data: Array(secret.utf8)))
    }

    /// `[{"name":"ci","secret":"…","scopes":["publish","read"]}]`; never quotes a secret.
    package static func parseList(_ json: [UInt8]) throws(JSONError) -> [AccessToken] {
        guard let elements = try JSONValue.read(json).array else {
            throw JSONError(text: "tokens must be an array", offset: nil)
        }
        var tokens: [AccessToken] = []
        for element in elements {
            let name = try JSONMembers(element, of: "token").string("name")
            let members = try JSONMembers(element, of: "token \(name)")
            let secret = try members.string("secret")
            if secret.isEmpty { throw members.fault("secret", "is empty") }
            var scopes: Scopes = []
            for text in try members.strings("scopes") {
                guard let scope = Scopes(name: text) else { throw members.fault("scopes", "has unknown \"\(text)\"") }
                scopes.insert(scope)
            }
            if scopes.isEmpty { throw members.fault("scopes", "is empty") }
            tokens.append(AccessToken(name: name, secret: secret, scopes: scopes))
        }
        return tokens
    }
}

/// Finds the token of a request among the configured ones.
package struct Authenticator: Sendable {
    private let tokens: [AccessToken]

    package init(tokens: [AccessToken]) { self.tokens = tokens }

    /// An authenticated caller.
    package struct Access: Sendable {
        package let token: AccessToken
        /// The token came by `qstash_token`: then the request's own `Authorization` may be forwarded.
        package let isByQuery: Bool

        /// 403 where the token's scopes do not include `scope`.
        package func require(_ scope: Scopes) throws(RequestError) {
            let scopes = token.scopes.effective
            if scopes.isSuperset(of: scope) { return }
            throw scopes == .read ? .readOnlyToken : .tokenScope(scope.name)
        }
    }

    /// - Parameters:
    ///   - authorization: the header's value; if it is a bearer's only it counts.
    ///   - queryToken: of `qstash_token`.
    package func authenticate(authorization: String?, queryToken: String?) throws(RequestError) -> Access {
        let bearer = authorization.flatMap(Self.bearer)
        // Another scheme is meant for somebody else; alone it is a token that is no good.
        if authorization != nil, bearer == nil, queryToken == nil { throw .invalidToken }
        let isByQuery = bearer == nil
        let secret = bearer ?? queryToken ?? ""
        if secret.isEmpty { throw .missingToken }
        let digest = Array(SHA256.hash(data: Array(secret.utf8)))
        var found: AccessToken?
        for token in tokens where Self.isEqual(token.digest, digest) && found == nil { found = token }
        guard let found else { throw .invalidToken }
        return Access(token: found, isByQuery: isByQuery)
    }

    /// The token of `Bearer <token>`, scheme in any case; nil for another scheme.
    package static func bearer(_ authorization: String) -> String? {
        let text = ASCII.trimmed(authorization)
        guard ASCII.hasPrefixIgnoringCase(text.utf8, "bearer".utf8) else { return nil }
        let rest = text.utf8.dropFirst(6)
        guard rest.isEmpty || rest.first.map(ASCII.isBlank) == true else { return nil }
        return ASCII.trimmed(String(Substring(rest)))
    }

    /// Looks at every byte, whatever the first ones say.
    private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// What the TypeScript SDK's development mode expects (contract keys.md). Public, so never a default.
package enum DevelopmentCredentials {
    package static let token = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="
    package static let keys = SigningKeys(
        current: "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", next: "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs")
}
