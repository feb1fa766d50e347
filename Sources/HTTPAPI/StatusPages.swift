/// `/health`, `/ready`, `/metrics`, `/openapi.yaml`: for orchestrators, Prometheus and tools, without a token.

import Domain
import Engine

package struct StatusPages: Sendable {
    /// Why the process is not healthy; empty when it is.
    package var unhealthy: @Sendable () -> [String]
    /// Why it is not ready for work; empty when it is.
    package var unready: @Sendable () async -> [String]
    /// Prometheus text.
    package var metrics: @Sendable () async -> String

    package init(
        unhealthy: @escaping @Sendable () -> [String], unready: @escaping @Sendable () async -> [String],
        metrics: @escaping @Sendable () async -> String
    ) {
        (self.unhealthy, self.unready, self.metrics) = (unhealthy, unready, metrics)
    }

    /// Nil for every other path.
    package func respond(to request: APIRequest) async -> APIResponse? {
        let path = request.target.prefix { $0 != "?" }
        guard ["/health", "/ready", "/metrics", "/openapi.yaml"].contains(path) else { return nil }
        guard request.method == "GET" else { return APIResponse(RequestError.methodNotAllowed(allow: "GET")) }
        switch path {
        case "/health": return answer(unhealthy())
        case "/ready": return answer(await unready())
        case "/openapi.yaml":
            return APIResponse(
                text: String(decoding: PackageResources.openapi_yaml, as: UTF8.self),
                type: "application/yaml; charset=utf-8")
        default: return APIResponse(text: await metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    private func answer(_ reasons: [String]) -> APIResponse {
        guard !reasons.isEmpty else { return APIResponse(json: Array(#"{"status":"ok"}"#.utf8)) }
        return APIResponse(RequestError(status: 503, text: reasons.joined(separator: "; ")))
    }
}
