// Checks a signature as a receiver does, and tells which check fails.

import Crypto

package struct SignatureVerifier: Sendable {
    package enum Fault: Error, Sendable, Hashable, CustomStringConvertible {
        case malformed
        /// Neither of the two keys made it.
        case key
        case url(signed: String)
        case bodyHash
        case expired(at: Int64)
        case notYetValid(from: Int64)

        package var description: String {
            switch self {
            case .malformed: "the signature is no JWT that Roost makes"
            case .key: "the signature was made with neither of the keys"
            case .url(let signed): "the signature is for another URL: \(signed)"
            case .bodyHash: "the body is not the one that was signed"
            case .expired(let at): "the signature has expired at \(at)"
            case .notYetValid(let from): "the signature is not valid before \(from)"
            }
        }
    }

    private let keys: SigningKeys

    package init(keys: SigningKeys) { self.keys = keys }

    /// Throws the first check that fails: form, key (current, then next), issuer, URL, time, body.
    ///
    /// - `url`: nil where the receiver does not know under which URL it was called.
    package func verify(_ token: String, url: String?, body: [UInt8], now: Timestamp) throws(Fault) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let payload = Base64.decode(parts[1]), let code = Base64.decode(parts[2]) else {
            throw .malformed
        }
        let signed = Array("\(parts[0]).\(parts[1])".utf8)
        let isOurs = [keys.current, keys.next].contains { key in
            HMAC<SHA256>.isValidAuthenticationCode(
                code, authenticating: signed, using: SymmetricKey(data: Array(key.utf8)))
        }
        guard isOurs else { throw .key }
        guard let claims = try? JSONMembers(JSONValue.read(payload), of: "payload"),
            let subject = try? claims.string("sub"), let expires = try? claims.int("exp"),
            let from = try? claims.int("nbf"), let hash = try? claims.string("body"),
            (try? claims.string("iss")) == "Upstash"
        else { throw .malformed }
        if let url, url != subject { throw .url(signed: subject) }
        if now.seconds > expires { throw .expired(at: Int64(expires)) }
        if now.seconds < from { throw .notYetValid(from: Int64(from)) }
        let expected = Base64.text(Array(SHA256.hash(data: body)), alphabet: .url, padded: true)
        func unpadded(_ text: String) -> Substring { Substring(text).prefix { $0 != "=" } }
        guard unpadded(expected) == unpadded(hash) else { throw .bodyHash }
    }
}
