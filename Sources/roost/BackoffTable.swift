/// `roost backoff`: the waits a message would have between its attempts.

import ArgumentParser
import Domain

struct BackoffTable: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backoff", abstract: "Show when a message would be retried.",
        discussion: """
            EXAMPLES
              roost backoff                                  the default backoff
              roost backoff 'pow(2, retried) * 1000' --retries 5
            """,
        version: Roost.version)

    @Argument(help: "The value of Upstash-Retry-Delay, milliseconds; without it the default backoff.")
    var expression: String?

    @Option(help: "How many retries.")
    var retries = 5

    func validate() throws {
        guard (1...1000).contains(retries) else { throw ValidationError("--retries must be 1 to 1000") }
    }

    func run() throws {
        var parsed: RetryDelayExpression?
        if let expression {
            do {
                parsed = try RetryDelayExpression(expression)
            } catch {
                throw CommandFailure(text: "Upstash-Retry-Delay: \(error.text)", status: 2)
            }
        }
        print("retry         delay ms          wait      after start")
        var total: Int64 = 0
        for retry in 1...retries {
            let value = parsed?.evaluate(retried: retry - 1)
            let delay = value ?? Backoff.delay(retry: Int64(retry))
            total += delay
            let note = parsed != nil && value == nil ? "  (no finite number: the default backoff)" : ""
            print(
                right("\(retry)", 5) + right("\(delay)", 17) + right(Self.readable(delay), 14)
                    + right(Self.readable(total), 17) + note)
        }
    }

    private func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }

    /// `12.182s`, `30m8.042s`, `1d`.
    static func readable(_ milliseconds: Int64) -> String {
        var text = ""
        var left = milliseconds
        for (unit, size) in [("d", Int64(86_400_000)), ("h", 3_600_000), ("m", 60_000)] where left >= size {
            text += "\(left / size)\(unit)"
            left %= size
        }
        if left == 0, !text.isEmpty { return text }
        let fraction = left % 1000
        let digits = String(fraction)
        let padded = String(repeating: "0", count: 3 - digits.count) + digits
        return text + "\(left / 1000)" + (fraction == 0 ? "" : ".\(padded)") + "s"
    }
}
