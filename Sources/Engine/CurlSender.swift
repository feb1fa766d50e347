/// The bridge from a delivery to curl: the limits and the address policy go in, an outcome comes out.

import CurlLink
import Domain

package enum CurlSender {
    /// The guard that judges every resolved address, on every attempt, before anything is sent.
    package static func addressGuard(_ policy: AddressPolicy) -> AddressGuard {
        { address, host in policy.refusal(ofBytes: address.bytes, host: host)?.description }
    }

    package static func sender(_ curl: CurlClient, limits: Limits) -> Sender {
        { delivery in
            let exchange = HTTPExchange(
                url: delivery.url, method: delivery.method, headers: delivery.headers, body: delivery.body,
                timeoutMilliseconds: delivery.timeoutMilliseconds, maxResponseBytes: limits.maxResponseBytes,
                maxHeaderBytes: limits.maxResponseHeaderBytes)
            switch await curl.send(exchange) {
            case .response(let response):
                let body = response.truncated ? UTF8Text.withoutCutCharacter(response.body) : response.body
                return .response(status: response.status, headers: HeaderMap(response.headers), body: body)
            case .failure(let failure):
                return .noResponse(reason: failure.description)
            }
        }
    }
}
