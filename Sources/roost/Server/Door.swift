/// What the port answers before the server has found its Redis, and after it was told to stop: the process lives, it is not ready,
/// and nothing is lost.

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

    private enum State: Sendable {
        case starting
        case open(Behind)
        /// Only who watches is still answered.
        case leaving(StatusPages)
    }

    private let state = Mutex(State.starting)
    private let registry: PrometheusRegistry
    private let authenticator: Authenticator
    /// How long a request waits while the server starts: as one does while Redis is away later.
    private let patience: Duration

    /// - Parameter registry: what this process counts.
    init(registry: PrometheusRegistry, authenticator: Authenticator, patience: Duration) {
        (self.registry, self.authenticator, self.patience) = (registry, authenticator, patience)
    }

    /// From now on requests go to `respond`.
    ///
    /// - Parameters:
    ///   - refuse: asked before a large body is read.
    ///   - take: asked before `respond`, see `FrontSettings.takes`.
    func open(
        _ respond: @escaping Responder, refuse: @escaping @Sendable (APIRequest) -> Refusal?,
        take: @escaping @Sendable (APIRequest, @escaping @Sendable (APIResponse) -> Void) -> Bool = { _, _ in false }
    ) {
        state.withLock { $0 = .open(Behind(respond: respond, refuse: refuse, take: take)) }
    }

    /// From now on requests are refused; those under way go on.
    func leave(_ pages: StatusPages) { state.withLock { $0 = .leaving(pages) } }

    func takes(_ request: APIRequest, _ answer: @escaping @Sendable (APIResponse) -> Void) -> Bool {
        guard case .open(let behind) = state.withLock({ $0 }) else { return false }
        return behind.take(request, answer)
    }

    func respond(to request: APIRequest) async -> APIResponse {
        let deadline = ContinuousClock.now + patience
        var pause = Duration.milliseconds(5)
        while true {
            switch state.withLock({ $0 }) {
            case .open(let behind): return await behind.respond(request)
            case .leaving(let pages): return await pages.respond(to: request) ?? APIResponse(RequestError.shuttingDown)
            case .starting:
                if let page = await starting.respond(to: request) { return page }
                guard ContinuousClock.now + pause < deadline, (try? await Task.sleep(for: pause)) != nil else {
                    return APIResponse(RequestError.storageUnavailable)
                }
                pause = min(pause * 2, .milliseconds(500))
            }
        }
    }

    func refusal(of request: APIRequest) -> Refusal? {
        switch state.withLock({ $0 }) {
        case .open(let behind): return behind.refuse(request)
        case .leaving: return Refusal(.shuttingDown)
        case .starting:
            do throws(RequestError) {
                _ = try authenticator.authenticate(request)
                return nil
            } catch {
                return Refusal(error)
            }
        }
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
