/// What standard output is, and how to write on it.

import Domain
import Foundation

struct Terminal: Sendable {
    /// nil where standard output is no terminal: then nothing is cut.
    let width: Int?
    let hasColour: Bool
    var isTerminal: Bool { width != nil }

    init(width: Int?, hasColour: Bool) { (self.width, self.hasColour) = (width, hasColour) }

    /// COLUMNS wins over what the terminal says. Colour is left out for NO_COLOR (any value) and TERM=dumb.
    init(descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment) {
        guard isatty(descriptor) == 1 else {
            self.init(width: nil, hasColour: false)
            return
        }
        var size = winsize()
        var columns = 0
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 { columns = Int(size.ws_col) }
        if let said = environment["COLUMNS"].flatMap({ Int($0) }), (1...10_000).contains(said) { columns = said }
        let isPlain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false || environment["TERM"] == "dumb"
        self.init(width: columns > 0 ? columns : 80, hasColour: !isPlain)
    }

    static let output = Terminal(descriptor: STDOUT_FILENO)
    static let error = Terminal(descriptor: STDERR_FILENO)

    func paint(_ text: String, _ tone: Cell.Tone) -> String {
        guard hasColour else { return text }
        switch tone {
        case .plain: return text
        case .title: return "\u{1B}[1m\(text)\u{1B}[0m"
        case .good: return "\u{1B}[32m\(text)\u{1B}[0m"
        case .bad: return "\u{1B}[31m\(text)\u{1B}[0m"
        case .warning: return "\u{1B}[33m\(text)\u{1B}[0m"
        case .faint: return "\u{1B}[2m\(text)\u{1B}[0m"
        }
    }

    /// One line of our own words and texts of the server.
    func say(_ text: String) throws(CommandFailure) { try line(SafeText.line(text)) }

    func table(_ table: TextTable) throws(CommandFailure) {
        for text in table.lines(width: width, paint: paint) { try line(text) }
    }

    func log(_ entry: JSONValue, _ clock: TimeText) throws(CommandFailure) {
        try line(LogText.line(entry, clock, width: width, paint: paint))
    }

    /// A document of the server, as it is; on a terminal with its control characters escaped.
    func json(_ bytes: [UInt8]) throws(CommandFailure) {
        var bytes = isTerminal ? SafeText.json(bytes) : bytes
        if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        try Self.write(bytes)
    }

    func json(_ value: JSONValue) throws(CommandFailure) { try json(value.text) }

    private func line(_ text: String) throws(CommandFailure) { try Self.write(Array((text + "\n").utf8)) }

    /// A reader that is gone ends the program as it ends others: quietly, with 128 + SIGPIPE.
    private static func write(_ bytes: [UInt8]) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) }
            if count < 0, errno != EINTR {
                if errno == EPIPE { exit(128 + SIGPIPE) }
                throw CommandFailure(text: "can't write: \(String(cString: strerror(errno)))")
            }
        }
    }
}
