// Replies of Redis, and signatures.

import Crypto
import Domain
import RedisLink

extension FuzzTarget {
    /// In one piece, byte by byte and in pieces of every small length the same replies come out, up to the same fault.
    static func redisReply(_ bytes: [UInt8]) throws {
        // hiredis makes room for as many elements as are announced, before any has come: gigabytes, from a Redis that
        // lies.
        let announced = bytes.split { !ASCII.isDigit($0) }
        guard announced.allSatisfy({ $0.count < 7 || ASCII.saturatingInteger($0) == .max }) else { return }
        let whole = replies(bytes, pieces: max(bytes.count, 1))
        for pieces in [1, 2, 3, 7] {
            let parts = replies(bytes, pieces: pieces)
            try hold(parts == whole, "in pieces of \(pieces): \(parts) instead of \(whole)")
        }
    }

    private struct Replies: Equatable {
        var values: [RedisValue] = []
        var isBroken = false
    }

    private static func replies(_ bytes: [UInt8], pieces: Int) -> Replies {
        let reader = RedisReplyReader()
        var replies = Replies()
        var rest = bytes[...]
        while !rest.isEmpty, !replies.isBroken {
            let piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(pieces)
            replies.isBroken = !piece.withUnsafeBytes { bytes in reader.read(bytes) { replies.values.append($0) } }
        }
        return replies
    }

    /// The first line as a whole token, then as claims under a good signature; the rest as the body.
    static func signature(_ bytes: [UInt8]) throws {
        let input = LinedInput(bytes)
        let keys = SigningKeys(current: "sig_current", next: "sig_next")
        let verifier = SignatureVerifier(keys: keys)
        let token = text(input.first)
        func passes(_ token: String, _ body: [UInt8]) -> Bool {
            do { try verifier.verify(token, url: nil, body: body, now: now) } catch { return false }
            return true
        }
        if passes(token, input.body) {
            let parts = token.split(separator: ".")
            let code = HMAC<SHA256>.authenticationCode(
                for: Array(parts.prefix(2).joined(separator: ".").utf8),
                using: SymmetricKey(data: Array(keys.current.utf8)))
            try hold(parts.count == 3 && Base64.decode(parts[2]) == Array(code), "passes with another signature")
        }
        let head = "e30." + Base64.text(input.first, alphabet: .url, padded: false)
        let code = HMAC<SHA256>.authenticationCode(
            for: Array(head.utf8), using: SymmetricKey(data: Array(keys.next.utf8)))
        let signed = head + "." + Base64.text(Array(code), alphabet: .url, padded: false)
        if passes(signed, input.body) {
            let hash = try JSONValue.read(input.first).object?["body"]?.string ?? ""
            let isOurs = Base64.decode(hash) == Array(SHA256.hash(data: input.body))
            try hold(isOurs, "passes with the hash of another body: \(hash)")
        }
        let own = Signer(keys: keys).token(url: token, body: input.body, now: now)
        try hold(passes(own, input.body), "our own signature does not pass")
        try hold(!passes(own, input.body + [0]), "our own signature passes for another body")
        for alphabet in [Base64.Alphabet.standard, .url] {
            for padded in [true, false] {
                let text = Base64.text(bytes, alphabet: alphabet, padded: padded)
                try hold(Base64.decode(text) == bytes, "\(text) does not come back")
            }
        }
    }
}
