/// Log lines on standard error: for people on a terminal, JSON for collectors.

import Domain
import Foundation
import Logging

struct StandardErrorLog: LogHandler {
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]
    let format: Settings.LogFormat

    init(format: Settings.LogFormat) { self.format = format }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = event.metadata.map { metadata.merging($0) { $1 } } ?? metadata
        let line = Self.line(
            Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)), event.level, "\(event.message)", all,
            format: format)
        Console.write(line, to: STDERR_FILENO)
    }

    /// One line with its newline; whatever stands in a value, it stays one line.
    static func line(
        _ time: Timestamp, _ level: Logger.Level, _ message: String, _ metadata: Logger.Metadata,
        format: Settings.LogFormat
    ) -> [UInt8] {
        let pairs = metadata.sorted { $0.key < $1.key }
        switch format {
        case .json:
            var json = JSONText()
            json.object { json in
                json.field("time", time.iso8601)
                json.field("level", level.rawValue)
                json.field("message", message)
                for (key, value) in pairs { json.field(key, "\(value)") }
            }
            return json.bytes + [UInt8(ascii: "\n")]
        case .text:
            var text = "\(time.iso8601) \(level.rawValue.uppercased()) \(oneLine(message))"
            for (key, value) in pairs { text += " \(key)=\(oneLine("\(value)"))" }
            return Array((text + "\n").utf8)
        }
    }

    private static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return text }
        return String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
    }

    static func makeLogger(_ settings: Settings) -> Logger {
        let format = settings.logFormat ?? (isatty(STDERR_FILENO) == 1 ? .text : .json)
        var logger = Logger(label: "roost") { _ in StandardErrorLog(format: format) }
        logger.logLevel = settings.logLevel
        return logger
    }
}
