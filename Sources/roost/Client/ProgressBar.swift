/// A bar on standard error while work takes long; nothing where that is no terminal.

import Domain
import Foundation
import Synchronization

final class ProgressBar: Sendable {
    private struct State {
        var done = 0
        var drawn = ContinuousClock.now - .seconds(1)
        var isDrawn = false
    }

    private let label: String
    /// nil where the end is not known.
    private let total: Int?
    private let width: Int?
    private let started = ContinuousClock.now
    private let state = Mutex(State())

    init(_ label: String, total: Int?, terminal: Terminal = .error) {
        (self.label, self.total, width) = (label, total, terminal.width)
    }

    func advance(by count: Int) {
        guard let width else { return }
        let line: String? = state.withLock { state in
            state.done += count
            let now = ContinuousClock.now
            guard now - state.drawn >= .milliseconds(100) || state.done == total else { return nil }
            (state.drawn, state.isDrawn) = (now, true)
            return Self.line(label, done: state.done, total: total, elapsed: now - started, width: width - 1)
        }
        if let line { Console.write(Array("\r\(line)\u{1B}[K".utf8), to: STDERR_FILENO) }
    }

    /// Takes the bar away, so that what follows starts on a clean line.
    func clear() {
        guard state.withLock({ $0.isDrawn }) else { return }
        Console.write(Array("\r\u{1B}[K".utf8), to: STDERR_FILENO)
    }

    /// `retrying  [########------------]  400 of 1000  200/s`
    static func line(_ label: String, done: Int, total: Int?, elapsed: Duration, width: Int) -> String {
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        let rate = seconds > 0.5 ? "  \(Int(Double(done) / seconds))/s" : ""
        guard let total, total > 0 else { return SafeText.cut("\(label)  \(done)\(rate)", to: width) }
        let text = "  \(min(done, total)) of \(total)\(rate)"
        let room = width - label.count - text.count - 4
        guard room >= 5 else { return SafeText.cut(label + text, to: width) }
        let size = min(room, 40)
        let filled = min(size, size * done / total)
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: size - filled)
        return "\(label)  [\(bar)]\(text)"
    }
}

enum Confirmation {
    /// On a terminal a question; elsewhere --yes is needed. Throws where the answer is no.
    static func ask(_ question: String, yes: Bool) throws(CommandFailure) {
        if yes { return }
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else {
            throw CommandFailure(text: "\(SafeText.line(question)) Say --yes to do it without a question", status: 2)
        }
        Console.write(Array("\(SafeText.line(question)) [y/N] ".utf8), to: STDERR_FILENO)
        let answer = readLine().map { ASCII.trimmed($0).lowercased() }
        if answer == nil { Console.write([10], to: STDERR_FILENO) }
        guard answer == "y" || answer == "yes" else { throw CommandFailure(text: "nothing was done") }
    }
}
