/// The bridge from a delivery to curl: the limits and the address policy go in, an outcome comes out.

import CurlLink
import Domain

package enum CurlSender {
    /// The guard that judges every resolved address, on every attempt, before anything is sent.
    package static func addressGuard(_ policy: AddressPolicy) -> AddressGuard {
        { address, host in policy.refusal(ofBytes: address.bytes, host: host)?.advice }
    }

    /// Where this machine has no socket left, the attempt waits instead of failing: that is no answer of the endpoint.
    private static let pause = Duration.milliseconds(200)
    private static let longestWait = Duration.seconds(60)

    /// - `literals`: judges the hosts of URLs as they are written, where a proxy hides the addresses.
    package static func sender(_ curl: CurlClient, limits: Limits, literals: AddressPolicy? = nil) -> Sender {
        { delivery in
            if let literals, let authority = URLAuthority(ofURL: delivery.url),
                let refusal = literals.refusal(ofLiteral: authority)
            {
                return .noResponse(reason: refusal.advice)
            }
            let exchange = HTTPExchange(
                url: delivery.url, method: delivery.method, headers: delivery.headers, body: delivery.body,
                timeoutMilliseconds: delivery.timeoutMilliseconds, maxResponseBytes: limits.maxResponseBytes,
                maxHeaderBytes: limits.maxResponseHeaderBytes)
            let deadline = ContinuousClock.now + min(longestWait, .milliseconds(delivery.timeoutMilliseconds))
            while true {
                switch await curl.send(exchange) {
                case .response(let response):
                    let body = response.truncated ? UTF8Text.withoutCutCharacter(response.body) : response.body
                    let isUseless = !delivery.keepsResponseHeaders && (200...299).contains(response.status)
                    return .response(
                        status: response.status, headers: isUseless ? [:] : HeaderMap(response.headers), body: body)
                case .failure(.exhausted) where ContinuousClock.now + pause < deadline && !Task.isCancelled:
                    try? await Task.sleep(for: pause)
                case .failure(let failure):
                    return .noResponse(reason: failure.description)
                }
            }
        }
    }
}
