/// What the HTTP side counts.

import Engine
import Synchronization

package final class APIMetrics: Sendable {
    private let answers = Mutex<[Int: Int]>([:])
    private let open = Mutex(0)
    private let wrongTokens = Mutex(0)

    package init() {}

    func count(status: Int) { answers.withLock { $0[status, default: 0] += 1 } }

    func countWrongToken() { wrongTokens.withLock { $0 += 1 } }

    func connections(_ change: Int) { open.withLock { $0 += change } }

    package func write(to page: inout PrometheusPage) {
        page.family("roost_http_answers_total", "counter", "Answers of the API, by status.")
        for (status, count) in answers.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            page.sample("roost_http_answers_total", [("status", String(status))], Double(count))
        }
        page.counter(
            "roost_http_wrong_tokens_total", "Requests with a token that is none.", wrongTokens.withLock { $0 })
        page.gauge("roost_http_connections", "Open connections to the API.", Double(open.withLock { $0 }))
    }
}
