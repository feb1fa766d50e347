/// The receiver of `roost dev`: takes deliveries, checks their signature, shows them on the terminal.

import Domain
import Foundation
import HTTPAPI

struct Echo: Sendable {
    static let path = "/dev/echo"
    static let callbackPath = "/dev/echo/callback"

    let say: @Sendable (String) -> Void

    init(say: @escaping @Sendable (String) -> Void) { self.say = say }

    /// Nil for what is not meant for it. Answers what a receiver would: 200 and a short body.
    func respond(to request: APIRequest, keys: SigningKeys) async -> APIResponse? {
        let path = request.target.prefix { $0 != "?" }
        guard path == Self.path || path.hasPrefix(Self.path + "/") else { return nil }
        func header(_ name: String) -> String? {
            request.headers.first { ASCII.equalIgnoringCase($0.name, name) }?.value
        }
        let id = header("Upstash-Message-Id") ?? "-"
        let attempt = (header("Upstash-Retried").flatMap { Int($0) } ?? 0).addingReportingOverflow(1).partialValue
        let kind = path == Self.callbackPath ? "callback" : "delivery"
        say("\(kind)  \(id)  attempt \(attempt)  \(judge(header("Upstash-Signature"), request.body, keys))")
        say("  \(request.method) \(request.target)  \(request.body.count) bytes: \(Self.preview(request.body))")
        if kind == "callback", let summary = Self.summary(request.body) { say("  \(summary)") }
        var json = JSONText()
        json.object { json in
            json.field("received", Int64(request.body.count))
            json.field("messageId", id)
        }
        return APIResponse(json: json.bytes)
    }

    private func judge(_ signature: String?, _ body: [UInt8], _ keys: SigningKeys) -> String {
        guard let signature else { return "not signed" }
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
        do {
            try SignatureVerifier(keys: keys).verify(signature, url: nil, body: body, now: now)
            return "signature valid"
        } catch {
            return "SIGNATURE INVALID: \(error)"
        }
    }

    /// The start of a body on one line; nothing that a terminal would obey.
    private static func preview(_ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        let plain = String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? " " : $0 }))
        return plain + (body.count > 300 ? "…" : "")
    }

    /// What a callback tells: the answer it carries, decoded.
    private static func summary(_ body: [UInt8]) -> String? {
        guard let object = try? JSONValue.read(body).object, let status = object["status"]?.int,
            let source = object["sourceMessageId"]?.string
        else { return nil }
        let answer = object["body"]?.string.flatMap { Base64.decode($0) }.map(preview) ?? ""
        return "\(source) was answered \(status): \(answer)"
    }
}
