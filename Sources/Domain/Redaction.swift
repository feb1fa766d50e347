// What of a message the API hides (contract redaction.md). Destinations and callbacks always get the real values.

import Crypto

package struct Redaction: Sendable, Hashable {
    package var hidesBody: Bool
    package var hidesAllHeaders: Bool
    /// Canonical names, each once.
    package var headers: [String]
    /// SHA-256 in hex of a body that is hidden: the log shows it and does not keep the body. Nil where there is none.
    package var bodyDigest: String?

    package init(body: Bool = false, allHeaders: Bool = false, headers: [String] = [], bodyDigest: String? = nil) {
        (hidesBody, hidesAllHeaders, self.headers, self.bodyDigest) = (body, allHeaders, headers, bodyDigest)
    }

    /// `Upstash-Redact-Fields`; nil for anything else than a list of `body`, `header`, `header[Name]`.
    package init?(_ text: String) {
        self.init()
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let field = ASCII.trimmed(String(part))
            switch field {
            case "body": hidesBody = true
            case "header", "headers": hidesAllHeaders = true
            default:
                guard let name = Self.headerName(field) else { return nil }
                if !headers.contains(name) { headers.append(name) }
            }
        }
    }

    private static func headerName(_ field: String) -> String? {
        guard field.hasSuffix("]"), let open = field.firstIndex(of: "["),
            ["header", "headers"].contains(field[..<open])
        else { return nil }
        let name = String(field[field.index(after: open)...].dropLast())
        return HeaderName.isToken(name) ? HeaderName.canonical(name) : nil
    }

    /// The same for a message with that body.
    package func sealing(_ body: [UInt8]) -> Redaction {
        var sealed = self
        sealed.bodyDigest = hidesBody && !body.isEmpty ? Self.digest(body) : nil
        return sealed
    }

    /// Hides what either hides.
    package func union(_ other: Redaction) -> Redaction {
        Redaction(
            body: hidesBody || other.hidesBody, allHeaders: hidesAllHeaders || other.hidesAllHeaders,
            headers: headers + other.headers.filter { !headers.contains($0) },
            bodyDigest: bodyDigest ?? other.bodyDigest)
    }

    package static func digest(_ bytes: [UInt8]) -> String { ASCII.hex(SHA256.hash(data: bytes)) }

    /// What stands instead of a hidden value.
    package static func mark(_ digest: String) -> String { "REDACTED:" + digest }

    package func hides(header name: String) -> Bool { hidesAllHeaders || headers.contains(name) }

    package func shown(_ map: HeaderMap) -> HeaderMap {
        guard hidesAllHeaders || !headers.isEmpty else { return map }
        var shown: HeaderMap = [:]
        for entry in map.entries {
            let values =
                hides(header: entry.name) ? entry.values.map { Self.mark(Self.digest(Array($0.utf8))) } : entry.values
            shown.set(entry.name, values)
        }
        return shown
    }
}

extension MessageRecord {
    /// A header map as the API may show it.
    func shown(_ map: HeaderMap) -> HeaderMap { redaction?.shown(map) ?? map }

    /// The text that stands for a hidden body; nil where the body may be shown, or there is none.
    package func bodyMark(_ body: [UInt8]) -> String? {
        guard let redaction, redaction.hidesBody else { return nil }
        if let digest = redaction.bodyDigest { return Redaction.mark(digest) }
        return body.isEmpty ? nil : Redaction.mark(Redaction.digest(body))
    }
}
