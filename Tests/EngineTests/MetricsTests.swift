/// What is counted from many tasks at once stands on the page, once.

import CoreMetrics
import Engine
import Testing

struct MetricsTests {
    @Test func whatManyTasksCountStandsOnThePage() async {
        let metrics = EngineMetrics()
        await withDiscardingTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<20_000 {
                        metrics.settled(task.isMultiple(of: 2) ? .delivered : .retried, .host)
                        metrics.started(late: task == 0 ? 0.002 : 0.00005)
                    }
                }
            }
        }
        metrics.settled(.delivered, .queue)
        #expect(metrics.total(.delivered) == 80_001)
        #expect(metrics.progress[.retried] == 80_000 && metrics.progress[.started] == 160_000)
        let late = 20_000 * 2 + 140_000 * 0.05
        #expect(abs(Double(metrics.progress[.lateness] ?? 0) - late) <= 1)

        let lines = Set(metrics.registry.render().split(separator: "\n"))
        for line in [
            #"roost_attempts_total{result="delivered",lane="host"} 80000"#,
            #"roost_attempts_total{result="delivered",lane="queue"} 1"#,
            #"roost_attempts_total{result="cancelled",lane="flow"} 0"#,
            "# TYPE roost_lateness_seconds histogram", #"roost_lateness_seconds_bucket{le="0.0001"} 140000"#,
            #"roost_lateness_seconds_bucket{le="0.001"} 140000"#, #"roost_lateness_seconds_bucket{le="0.0025"} 160000"#,
            #"roost_lateness_seconds_bucket{le="+Inf"} 160000"#, "roost_lateness_seconds_count 160000",
            "# TYPE roost_redis_script_seconds histogram",
        ] {
            #expect(lines.contains(Substring(line)), "\(line)")
        }
    }

    @Test func aSeriesIsOneWhoeverAsksForIt() {
        let registry = PrometheusRegistry()
        let labels = [("kind", "a \"quoted\\\nname")]
        Counter(label: "tries_total", dimensions: labels, factory: registry).increment(by: 2)
        let again = Counter(label: "tries_total", dimensions: labels, factory: registry)
        again.increment(by: 3)
        #expect(registry.total("tries_total") == 5)
        #expect(
            registry.render() == "# TYPE tries_total counter\ntries_total{kind=\"a \\\"quoted\\\\\\nname\"} 5\n")
        again.destroy()
        #expect(registry.render() == "# TYPE tries_total counter\n")
    }
}
