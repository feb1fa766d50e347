/// What the system knows of this process, under the names that Prometheus's own clients use.

import CoreMetrics
import Engine
import Foundation

enum ProcessMetrics {
    private static let started = Date().timeIntervalSince1970

    /// Called at the start, so that the start time is that of the process and not of the first page.
    static func begin() { _ = started }

    static func write(to page: PrometheusRegistry) {
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            page.declare("process_cpu_seconds_total", "counter", "CPU time of this process, user and system.")
            FloatingPointCounter(label: "process_cpu_seconds_total", factory: page)
                .increment(by: seconds(usage.ru_utime) + seconds(usage.ru_stime))
        }
        if let pages = residentPages() {
            page.gauge("process_resident_memory_bytes", "Memory in use.", Double(pages * Int(getpagesize())))
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            page.gauge("process_open_fds", "Open descriptors.", Double(open.count))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            page.gauge("process_max_fds", "Descriptors that may be open.", Double(limit.rlim_cur))
        }
        page.gauge("process_start_time_seconds", "When the process started, Unix time.", started)
        page.declare("roost_build_info", "gauge", "Always 1; the version is in the label.")
        Meter(label: "roost_build_info", dimensions: [("version", Roost.version)], factory: page).set(1)
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    private static func residentPages() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }
}
