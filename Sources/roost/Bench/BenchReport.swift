/// What the benchmark found, for people and for scripts.

import Domain
import Foundation
import Histogram

struct BenchReport {
    let bench: Bench
    let published: Histogram<UInt64>
    let publishTime: Duration
    let totalTime: Duration
    let arrivals: Histogram<UInt64>
    /// From the first arrival to the last.
    let arrivalTime: Duration
    /// Seconds.
    let serverCPU: Double
    let redisCPU: Double
    /// Bytes of Redis.
    let memoryPerMessage: Double?
    let serverMemory: Int

    private var perMessage: (server: Double, redis: Double) {
        (serverCPU * 1e6 / Double(bench.messages), redisCPU * 1e6 / Double(bench.messages))
    }

    private var publishRate: Double { Double(bench.messages) / max(1e-6, seconds(publishTime)) }
    private var deliveryRate: Double {
        let time = bench.dueIn > 0 || bench.schedules ? arrivalTime : totalTime
        return arrivals.totalCount == 0 ? 0 : Double(arrivals.totalCount) / max(1e-6, seconds(time))
    }

    private func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    private static let percentiles: [Double] = [50, 90, 99, 99.9, 100]

    private func line(_ histogram: Histogram<UInt64>) -> String {
        Self.percentiles.map { percentile in
            let name =
                percentile == 100
                ? "max" : "p\(percentile == percentile.rounded() ? "\(Int(percentile))" : "\(percentile)")"
            return "\(name) \(milliseconds(histogram, percentile)) ms"
        }.joined(separator: "  ")
    }

    private func milliseconds(_ histogram: Histogram<UInt64>, _ percentile: Double) -> String {
        String(format: "%.2f", Double(histogram.valueAtPercentile(percentile)) / 1000)
    }

    var text: String {
        let loop = bench.rate > 0 ? "open loop, \(bench.rate)/s" : "closed loop, \(bench.concurrency) callers"
        var lines = ["\(bench.messages) messages of \(bench.size) bytes, \(loop)"]
        lines.append(String(format: "publish    %.0f/s   ", publishRate) + line(published))
        if arrivals.totalCount > 0 {
            let what = bench.delay > 0 || bench.dueIn > 0 || bench.schedules ? "lateness" : "latency"
            lines.append(String(format: "delivery   %.0f/s   ", deliveryRate) + "\(what): " + line(arrivals))
        }
        lines.append(
            String(
                format: "cpu        server %.1f us, Redis %.1f us a message", perMessage.server, perMessage.redis))
        lines.append(String(format: "memory     server %.1f MiB resident", Double(serverMemory) / 1_048_576))
        if let memoryPerMessage {
            lines.append(String(format: "           Redis %.0f bytes a waiting message", memoryPerMessage))
        }
        return lines.joined(separator: "\n")
    }

    var json: String {
        var figures: [(String, Double)] = [
            ("messages", Double(bench.messages)), ("bodyBytes", Double(bench.size)), ("publishPerSecond", publishRate),
            ("deliveryPerSecond", deliveryRate), ("serverMicrosecondsPerMessage", perMessage.server),
            ("redisMicrosecondsPerMessage", perMessage.redis), ("serverResidentBytes", Double(serverMemory)),
        ]
        if let memoryPerMessage { figures.append(("redisBytesPerWaitingMessage", memoryPerMessage)) }
        for (name, histogram) in [("publish", published), ("delivery", arrivals)] where histogram.totalCount > 0 {
            for percentile in Self.percentiles {
                let digits = "\(percentile)".replacingOccurrences(of: ".0", with: "").replacingOccurrences(
                    of: ".", with: "")
                figures.append(
                    ("\(name)P\(digits)Milliseconds", Double(histogram.valueAtPercentile(percentile)) / 1000))
            }
        }
        return "{" + figures.map { "\"\($0.0)\":" + String(format: "%.3f", $0.1) }.joined(separator: ",") + "}"
    }
}
