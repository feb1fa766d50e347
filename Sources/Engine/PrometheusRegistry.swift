/// The backend of swift-metrics: hands out instruments and renders what they counted as Prometheus text.

import CoreMetrics
import Synchronization

/// A family stands on the page in the order in which it was declared, its series in the order of their labels. The same
/// name and labels are the same series, whoever asks for them.
///
/// It is passed to whoever counts, and not bootstrapped for the whole process: two servers in one process, as in tests
/// and benchmarks, must not count into each other.
package final class PrometheusRegistry: MetricsFactory {
    private struct Series {
        var labels: [(String, String)]
        var cell: any MetricCell
    }

    private struct Family {
        var name: String
        var type: String
        var help: String?
        var series: [Series] = []
    }

    private let families = Mutex<[Family]>([])

    package init() {}

    // MARK: Declared instruments

    /// Puts a family on the page, also while it has no series.
    package func declare(_ name: String, _ type: String, _ help: String) {
        families.withLock { families in
            if families.contains(where: { $0.name == name }) { return }
            families.append(Family(name: name, type: type, help: help))
        }
    }

    package func counter(_ name: String, _ help: String) -> Counter {
        declare(name, "counter", help)
        return Counter(label: name, factory: self)
    }

    package func timer(_ name: String, _ help: String) -> Timer {
        declare(name, "histogram", help)
        return Timer(label: name, factory: self)
    }

    package func gauge(_ name: String, _ help: String, _ value: Double) {
        declare(name, "gauge", help)
        Meter(label: name, factory: self).set(value)
    }

    // MARK: MetricsFactory

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        cell(label, dimensions, "counter") { CounterCell() }
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        cell(label, dimensions, "counter") { ValueCell() }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        cell(label, dimensions, "gauge") { ValueCell() }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate { return cell(label, dimensions, "histogram") { HistogramCell() } }
        return cell(label, dimensions, "gauge") { ValueCell() }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        cell(label, dimensions, "histogram") { HistogramCell() }
    }

    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    /// A cell of another kind under the same name is replaced: what asks last is what counts.
    private func cell<Cell: MetricCell>(
        _ name: String, _ labels: [(String, String)], _ type: String, _ make: () -> Cell
    ) -> Cell {
        families.withLock { families in
            let at = families.firstIndex { $0.name == name } ?? families.endIndex
            if at == families.endIndex { families.append(Family(name: name, type: type)) }
            if let found = families[at].series.firstIndex(where: { Self.areSame($0.labels, labels) }) {
                if let cell = families[at].series[found].cell as? Cell { return cell }
                families[at].series.remove(at: found)
            }
            let cell = make()
            families[at].series.append(Series(labels: labels, cell: cell))
            return cell
        }
    }

    private func remove(_ handler: AnyObject) {
        families.withLock { families in
            for at in families.indices { families[at].series.removeAll { $0.cell === handler } }
        }
    }

    private static func areSame(_ a: [(String, String)], _ b: [(String, String)]) -> Bool {
        a.elementsEqual(b) { $0 == $1 }
    }

    // MARK: Reading

    /// The sum of all series of a counter that have these labels among theirs.
    package func total(_ name: String, _ labels: (String, String)...) -> Int64 {
        families.withLock { families in
            let series = families.first { $0.name == name }?.series ?? []
            return series.reduce(0) { sum, series in
                guard let cell = series.cell as? CounterCell,
                    labels.allSatisfy({ wanted in series.labels.contains { $0 == wanted } })
                else { return sum }
                return sum &+ cell.value
            }
        }
    }

    /// A histogram without labels.
    package func histogram(_ name: String) -> Histogram {
        families.withLock { families in
            let series = families.first { $0.name == name }?.series.first { $0.labels.isEmpty }
            return (series?.cell as? HistogramCell)?.value ?? Histogram()
        }
    }

    /// Prometheus text exposition of everything counted here.
    package func render() -> String {
        var page = PrometheusPage()
        for family in families.withLock({ $0 }) {
            page.family(family.name, family.type, family.help)
            let series = family.series.sorted { a, b in
                a.labels.lexicographicallyPrecedes(b.labels) { $0 < $1 }
            }
            for series in series { series.cell.write(family.name, series.labels, to: &page) }
        }
        return page.text
    }
}

/// Writes the Prometheus text format, version 0.0.4.
struct PrometheusPage {
    private(set) var text = ""

    mutating func family(_ name: String, _ type: String, _ help: String?) {
        if let help { text += "# HELP \(name) \(help)\n" }
        text += "# TYPE \(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
        text += name + render(labels) + " " + number(value) + "\n"
    }

    mutating func buckets(_ name: String, _ labels: [(String, String)], _ histogram: Histogram) {
        var total = 0
        for (bound, count) in zip(Histogram.bounds, histogram.counts) {
            total += count
            sample(name + "_bucket", labels + [("le", number(bound))], Double(total))
        }
        sample(name + "_bucket", labels + [("le", "+Inf")], Double(histogram.count))
        sample(name + "_sum", labels, histogram.sum)
        sample(name + "_count", labels, Double(histogram.count))
    }

    private func render(_ labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.0)=\"\(escape($0.1))\"" }.joined(separator: ",") + "}"
    }

    private func escape(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return value }
        var text = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(character)
            }
        }
        return text
    }

    private func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }
}
