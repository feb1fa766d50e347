/// What `/health`, `/ready` and `/metrics` answer.

import Engine
import Foundation
import HTTPAPI
import RedisLink

struct StatusReport: Sendable {
    let store: Store
    let node: Node?
    /// What this process counts.
    let registry: PrometheusRegistry
    let lease: Duration
    let maxInFlight: Int
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
        // What is true now and may be unknown later has a registry for each page.
        let page = PrometheusRegistry()
        let gauges = await store.measure()
        write(node, isReady: gauges != nil, to: page)
        page.gauge("roost_redis_up", "1 where Redis answered for this page.", gauges == nil ? 0 : 1)
        if let gauges { gauges.write(to: page, now: store.clock.now) }
        if gauges != nil, let info = try? await RedisInfo(of: store.redis, sections: ["memory", "persistence"]) {
            write(info, to: page)
        }
        ProcessMetrics.write(to: page)
        return registry.render() + page.render()
    }

    private func write(_ node: Node?, isReady: Bool, to page: PrometheusRegistry) {
        let troubled = node?.pulse.troubled() ?? []
        let isReady = isReady && !stopping.hasBegun && stalledLoops().isEmpty && troubled.isEmpty
        page.gauge("roost_ready", "1 where this process takes and does work; asks Redis to read only.", isReady ? 1 : 0)
        page.gauge(
            "roost_clock_offset_seconds", "This machine's clock minus Redis's, which is the one that counts.",
            Date().timeIntervalSince1970 - Double(store.clock.microseconds) / 1e6)
        guard let node else { return }
        page.gauge("roost_in_flight", "Messages this node holds.", Double(node.held.count))
        page.gauge("roost_in_flight_limit", "Messages it may hold.", Double(maxInFlight))
        page.gauge("roost_in_flight_bytes", "Their bytes.", Double(node.held.bytes))
        page.gauge(
            "roost_troubled_loops", "Loops whose last step Redis answered with an error.", Double(troubled.count))
    }

    private func write(_ info: RedisInfo, to page: PrometheusRegistry) {
        page.gauge("roost_redis_memory_used_bytes", "Memory of Redis.", Double(info.integer("used_memory")))
        page.gauge("roost_redis_memory_max_bytes", "Its limit, 0 without one.", Double(info.integer("maxmemory")))
        let keeps = info["aof_enabled"] == "1"
        let works = [
            ("aof_last_write_status", keeps), ("aof_last_bgrewrite_status", keeps), ("rdb_last_bgsave_status", true),
        ]
        .allSatisfy { !$0.1 || info[$0.0] == "ok" }
        page.gauge(
            "roost_redis_persistence_ok", "1 where Redis has an append-only file and every write to disk went well.",
            keeps && works ? 1 : 0)
    }
}
