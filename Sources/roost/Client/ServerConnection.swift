/// Calls of the API, and what went wrong in one line: which server, what happened, what to do. The exit statuses of
/// the client are made here.

import CurlLink
import Domain
import Foundation

struct ServerConnection: Sendable {
    let base: String
    private let token: String
    private let client: CurlClient
    private let milliseconds: Int
    private let place: String

    /// - Parameter place: where the server was named.
    init(
        base: String, token: String, caFile: String?, seconds: Int, place: String = "QSTASH_URL or --url"
    ) throws(CommandFailure) {
        var settings = CurlSettings()
        if let caFile, access(caFile, R_OK) != 0 {
            throw CommandFailure(text: "--ca-file: can't read \(caFile)", status: 2)
        }
        let environment = ProcessInfo.processInfo.environment
        settings.caFile = caFile ?? environment["CURL_CA_BUNDLE"]?.nonEmpty ?? environment["SSL_CERT_FILE"]?.nonEmpty
        (self.base, self.token, self.place, milliseconds) = (base, token, place, seconds * 1000)
        client = CurlClient(settings: settings)
    }

    /// - Parameter path: from `/v2` on, encoded.
    /// - Returns: an answer of status 200 to 299.
    @discardableResult
    func call(
        _ method: String, _ path: String, query: [HeaderField] = [], headers: [HeaderField] = [], body: [UInt8] = []
    ) async throws(CommandFailure) -> Answer {
        let target = path + Self.text(query)
        let fields = [("Authorization", "Bearer \(token)"), ("User-Agent", "roost/\(Roost.version)")] + headers
        let exchange = HTTPExchange(
            url: base + target, method: method, headers: fields, body: body, timeoutMilliseconds: milliseconds,
            maxResponseBytes: 512 << 20)
        var pauses = 0
        while true {
            switch await client.send(exchange) {
            case .failure(let failure): throw unreachable(failure)
            case .response(let response):
                // A limit of calls a second or a day names the moment at which it opens again.
                if response.status == 429, pauses < 10, let wait = Self.pause(response) {
                    pauses += 1
                    do { try await Task.sleep(for: wait) } catch { throw unreachable(.cancelled) }
                    continue
                }
                return try answer(response, method, path)
            }
        }
    }

    @discardableResult
    func get(_ path: String, query: [HeaderField] = []) async throws(CommandFailure) -> JSONValue {
        try await call("GET", path, query: query).json(base)
    }

    /// Nil where there is no such thing.
    func find(_ path: String) async throws(CommandFailure) -> JSONValue? {
        do {
            return try await get(path)
        } catch {
            if error.status == ClientStatus.notFound { return nil }
            throw error
        }
    }

    private static func text(_ query: [HeaderField]) -> String {
        guard !query.isEmpty else { return "" }
        return "?"
            + query.map { Percent.encodeComponent($0.name) + "=" + Percent.encodeComponent($0.value) }
            .joined(separator: "&")
    }

    private static func pause(_ response: HTTPResponse) -> Duration? {
        let reset = response.headers.first { ASCII.equalIgnoringCase($0.name, "Burst-RateLimit-Reset") }
        guard let seconds = reset.flatMap({ Int64($0.value) }) else { return nil }
        let wait = max(0, Saturating.subtract(seconds, Timestamp.clock.seconds))
        return wait <= 60 ? .milliseconds(100 + wait * 1000) : nil
    }

    private func unreachable(_ failure: HTTPFailure) -> CommandFailure {
        var advice = ""
        switch failure {
        case .refused, .unreachable, .resolve:
            advice =
                ServerURL.isLoopback(base)
                ? "; start one with roost dev, or name another with \(place)"
                : "; is \(place) right?"
        case .timeout: advice = " after \(milliseconds / 1000) s; --wait sets how long"
        case .tls: advice = "; a certificate of your own needs --ca-file"
        case .malformed: advice = "; is this a Roost server?"
        case .reset, .blocked, .headersTooLarge, .cancelled, .exhausted, .other: break
        }
        return CommandFailure(text: "can't reach \(base): \(failure)\(advice)", status: ClientStatus.unreachable)
    }

    private func answer(
        _ response: HTTPResponse, _ method: String, _ path: String
    ) throws(CommandFailure) -> Answer {
        if response.truncated {
            throw CommandFailure(text: "\(base) answers more than 512 MiB; ask for less with --limit or filters")
        }
        let answer = Answer(status: response.status, body: response.body)
        if (200..<300).contains(response.status) { return answer }
        let error = (try? JSONValue.read(response.body))?["error"]?.string
        let text = SafeText.cut(
            SafeText.line(error ?? String(decoding: response.body.prefix(500), as: UTF8.self)), to: 500)
        switch response.status {
        case 404 where error != nil && error != "not found":
            throw CommandFailure(text: text, status: ClientStatus.notFound)
        case 404, 405, 300..<400:
            throw CommandFailure(
                text:
                    "\(base) answers \(response.status) to \(method) \(SafeText.cut(path, to: 100)); is this the URL of a Roost server?"
            )
        case 401: throw CommandFailure(text: "\(base): \(text); is QSTASH_TOKEN the token of this server?")
        case 403: throw CommandFailure(text: "\(base): \(text)")
        case 502...504:
            throw CommandFailure(
                text: "\(base) answers \(response.status): \(text)", status: ClientStatus.unreachable)
        case 500...: throw CommandFailure(text: "\(base) answers \(response.status): \(text)")
        default: throw CommandFailure(text: text.isEmpty ? "\(base) answers \(response.status)" : text)
        }
    }
}

struct Answer: Sendable {
    let status: Int
    let body: [UInt8]

    func json(_ base: String) throws(CommandFailure) -> JSONValue {
        do {
            return try JSONValue.read(body)
        } catch {
            throw CommandFailure(text: "\(base) answers something that is no JSON (\(error)); is this a Roost server?")
        }
    }
}

/// What scripts can rely on; told in `roost --help`.
enum ClientStatus {
    static let unreachable: Int32 = 3
    static let notFound: Int32 = 4
    static let interrupted: Int32 = 130
}
