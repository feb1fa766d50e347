/// What `/health`, `/ready` and `/metrics` answer.

import Engine
import HTTPAPI

struct StatusReport: Sendable {
    let store: Store
    let node: Node?
    let apiMetrics: APIMetrics
    let lease: Duration
    let stopping: Stopping

    var pages: StatusPages {
        StatusPages(
            unhealthy: { stalledLoops() },
            unready: {
                if stopping.hasBegun { return ["draining"] }
                var reasons = stalledLoops()
                reasons += (node?.pulse.troubled() ?? []).map { "the \($0.loop) loop fails: \($0.error)" }
                if let reason = await store.checkWrites() { reasons.append(reason) }
                return reasons
            },
            metrics: { await metrics() })
    }

    /// A loop that waits for Redis still shows life; one that shows none for this long is stuck.
    private func stalledLoops() -> [String] {
        guard let node, !stopping.hasBegun else { return [] }
        return node.pulse.stalled(longerThan: max(.seconds(60), lease * 3)).map { "the \($0) loop makes no progress" }
    }

    private func metrics() async -> String {
        var page = PrometheusPage()
        apiMetrics.write(to: &page)
        if let node {
            page.gauge("roost_in_flight", "Messages this node holds.", Double(node.held.count))
            page.gauge("roost_in_flight_bytes", "Their bytes.", Double(node.held.bytes))
        }
        if let node {
            page.gauge(
                "roost_troubled_loops", "Loops whose last step Redis answered with an error.",
                Double(node.pulse.troubled().count))
        }
        let gauges = await store.measure()
        page.gauge("roost_redis_up", "1 where Redis answered for this page.", gauges == nil ? 0 : 1)
        if let gauges { gauges.write(to: &page, now: store.clock.now) }
        return store.metrics.render() + page.text
    }
}
