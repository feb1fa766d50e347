/// What the HTTP side counts.

import CoreMetrics
import Engine
import Synchronization

package final class APIMetrics: Sendable {
    private let registry: PrometheusRegistry
    private let answers = Mutex<[Int: Counter]>([:])
    private let wrongTokens: Counter
    private let open: Meter

    package init(registry: PrometheusRegistry = PrometheusRegistry()) {
        self.registry = registry
        registry.declare("roost_http_answers_total", "counter", "Answers of the API, by status.")
        wrongTokens = registry.counter("roost_http_wrong_tokens_total", "Requests with a token that is none.")
        registry.declare("roost_http_connections", "gauge", "Open connections to the API.")
        open = Meter(label: "roost_http_connections", factory: registry)
    }

    func count(status: Int) {
        let counter = answers.withLock { answers in
            if let counter = answers[status] { return counter }
            let label = [("status", String(status))]
            let counter = Counter(label: "roost_http_answers_total", dimensions: label, factory: registry)
            answers[status] = counter
            return counter
        }
        counter.increment()
    }

    func countWrongToken() { wrongTokens.increment() }

    func connections(_ change: Int) { open.increment(by: Double(change)) }
}
