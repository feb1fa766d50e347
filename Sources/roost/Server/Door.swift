/// What the port answers before the server has found its Redis: the process lives, it is not ready, and nothing is lost.

import Domain
import Engine
import HTTPAPI
import Synchronization

final class Door: Sendable {
    private struct Behind: Sendable {
        var respond: Responder
        var refuse: @Sendable (APIRequest) -> Refusal?
        var take: @Sendable (APIRequest, @escaping @Sendable (APIResponse) -> Void) -> Bool
    }

    private let behind = Mutex<Behind?>(nil)
    private let registry: PrometheusRegistry

    /// - Parameter registry: what this process counts.
    init(registry: PrometheusRegistry) { self.registry = registry }

    /// From now on requests go to `respond`.
    ///
    /// - Parameters:
    ///   - refuse: asked before a large body is read.
    ///   - take: asked before `respond`, see `FrontSettings.takes`.
    func open(
        _ respond: @escaping Responder, refuse: @escaping @Sendable (APIRequest) -> Refusal?,
        take: @escaping @Sendable (APIRequest, @escaping @Sendable (APIResponse) -> Void) -> Bool = { _, _ in false }
    ) {
        behind.withLock { $0 = Behind(respond: respond, refuse: refuse, take: take) }
    }

    func takes(_ request: APIRequest, _ answer: @escaping @Sendable (APIResponse) -> Void) -> Bool {
        behind.withLock { $0 }?.take(request, answer) ?? false
    }

    func respond(to request: APIRequest) async -> APIResponse {
        if let behind = behind.withLock({ $0 }) { return await behind.respond(request) }
        return await starting.respond(to: request) ?? APIResponse(RequestError.storageUnavailable)
    }

    func refusal(of request: APIRequest) -> Refusal? {
        guard let behind = behind.withLock({ $0 }) else { return Refusal(.storageUnavailable) }
        return behind.refuse(request)
    }

    private var starting: StatusPages {
        StatusPages(
            unhealthy: { [] }, unready: { ["waiting for Redis"] },
            metrics: { [registry] in
                let page = PrometheusRegistry()
                page.gauge("roost_ready", "1 where this process takes and does work.", 0)
                page.gauge("roost_redis_up", "1 where Redis answered for this page.", 0)
                ProcessMetrics.write(to: page)
                return registry.render() + page.render()
            })
    }
}
