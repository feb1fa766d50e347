/// The bridge from a delivery to curl: the limits and the address policy go in, an outcome comes out.

import CurlLink
import Domain

package struct CurlSender: Sender {
    private let curl: CurlClient
    private let limits: Limits
    private let literals: AddressPolicy?

    /// Where this machine has no socket left, the attempt waits instead of failing: that is no answer of the endpoint.
    private static let pause = Duration.milliseconds(200)
    private static let longestWait = Duration.seconds(60)

    /// - `literals`: judges the hosts of URLs as they are written, where a proxy hides the addresses.
    package init(_ curl: CurlClient, limits: Limits, literals: AddressPolicy? = nil) {
        (self.curl, self.limits, self.literals) = (curl, limits, literals)
    }

    /// The guard that judges every resolved address, on every attempt, before anything is sent.
    package static func addressGuard(_ policy: AddressPolicy) -> AddressGuard {
        { address, host in policy.refusal(ofBytes: address.bytes, host: host)?.advice }
    }

    package func send(_ delivery: Delivery, _ ended: @escaping @Sendable (Outcome) -> Void) {
        if let literals, let authority = URLAuthority(ofURL: delivery.url),
            let refusal = literals.refusal(ofLiteral: authority)
        {
            return ended(.noResponse(reason: refusal.advice))
        }
        let exchange = HTTPExchange(
            url: delivery.url, method: delivery.method, headers: delivery.headers, body: delivery.body,
            timeoutMilliseconds: delivery.timeoutMilliseconds, maxResponseBytes: limits.maxResponseBytes,
            maxHeaderBytes: limits.maxResponseHeaderBytes)
        let deadline = ContinuousClock.now + min(Self.longestWait, .milliseconds(delivery.timeoutMilliseconds))
        send(exchange, keepsHeaders: delivery.keepsResponseHeaders, until: deadline, ended)
    }

    package func cutOff() { curl.shutDown() }

    private func send(
        _ exchange: HTTPExchange, keepsHeaders: Bool, until deadline: ContinuousClock.Instant,
        _ ended: @escaping @Sendable (Outcome) -> Void
    ) {
        curl.send(exchange) { outcome in
            switch outcome {
            case .response(let response):
                let body = response.truncated ? UTF8Text.withoutCutCharacter(response.body) : response.body
                let isUseless = !keepsHeaders && (200...299).contains(response.status)
                ended(
                    .response(
                        status: response.status, headers: isUseless ? [:] : HeaderMap(response.headers), body: body))
            case .failure(.exhausted) where ContinuousClock.now + Self.pause < deadline:
                Task {
                    try? await Task.sleep(for: Self.pause)
                    send(exchange, keepsHeaders: keepsHeaders, until: deadline, ended)
                }
            case .failure(let failure):
                ended(.noResponse(reason: failure.description))
            }
        }
    }
}
