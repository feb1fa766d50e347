// The signature of a delivery: a JWT made by hand, because its bytes are fixed by the contract (delivery.md §2) and a
// library costs six times as much.

import Crypto

/// Signs with one key. Made once for each pair of keys.
package struct Signer: Sendable {
    /// The code with the key taken in, and nothing else: a copy of it saves two blocks of SHA-256 a signature.
    private let keyed: HMAC<SHA256>
    /// `{"alg":"HS256","typ":"JWT"}` and the dot, encoded.
    private static let head = Array("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.".utf8)
    /// Seconds a signature is valid for.
    package static let lifetime: Int64 = 300

    /// - Parameter key: the whole text, `sig_` included.
    package init(key: String) { keyed = HMAC<SHA256>(key: SymmetricKey(data: Array(key.utf8))) }

    /// Always the current key: receivers try current, then next.
    package init(keys: SigningKeys) { self.init(key: keys.current) }

    /// The value of `Upstash-Signature` for one attempt.
    ///
    /// - Parameters:
    ///   - url: of the destination, as it is called.
    ///   - body: as it is sent.
    ///   - hash: SHA-256 of the body, hex, where it is known; else it is computed.
    ///   - now: when it is issued.
    ///   - jti: the id of the token.
    package func token(
        url: String, body: [UInt8], hash: String? = nil, now: Timestamp, jti: String = JWTID.make()
    ) -> String {
        let issued = now.seconds
        var payload = JSONText(capacity: 256 + url.utf8.count)
        payload.object { json in
            json.field("iss", "Upstash")
            json.field("sub", url)
            json.field("exp", Saturating.add(issued, Self.lifetime))
            json.field("nbf", 0)
            json.field("iat", issued)
            json.field("jti", jti)
            json.key("body")
            if let known = hash.flatMap(ASCII.unhex), known.count == SHA256.byteCount {
                known.withUnsafeBytes { json.base64($0, alphabet: .url) }
            } else {
                SHA256.hash(data: body).withUnsafeBytes { json.base64($0, alphabet: .url) }
            }
        }
        var token = Self.head
        token.reserveCapacity(token.count + payload.bytes.count * 4 / 3 + 50)
        Base64.append(payload.bytes, to: &token, alphabet: .url, padded: false)
        var code = keyed
        code.update(data: token)
        token.append(UInt8(ascii: "."))
        code.finalize().withUnsafeBytes { Base64.append($0, to: &token, alphabet: .url, padded: false) }
        return String(decoding: token, as: UTF8.self)
    }
}

/// The pair receivers hold.
package struct SigningKeys: Sendable, Hashable {
    package var current: String
    package var next: String

    package init(current: String, next: String) {
        self.current = current
        self.next = next
    }

    package static func generate() -> SigningKeys { SigningKeys(current: generateKey(), next: generateKey()) }

    /// `sig_` and 28 of `[0-9A-Za-z]`: 32 bytes, because shorter keys draw warnings from verifiers.
    package static func generateKey() -> String {
        var bytes = Array("sig_".utf8)
        Base62.appendRandom(digits: 28, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// `{"current":"sig_...","next":"sig_..."}`
    package var json: [UInt8] {
        var json = JSONText()
        json.object {
            $0.field("current", current)
            $0.field("next", next)
        }
        return json.bytes
    }
}
