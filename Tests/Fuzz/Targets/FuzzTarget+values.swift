// The small languages of header values.

import Domain
import Foundation

extension FuzzTarget {
    /// Some moment: 2025-01-01.
    static let now = Timestamp(seconds: 1_735_689_600)

    static func duration(_ bytes: [UInt8]) throws {
        let text = text(bytes)
        guard let seconds = DurationText.parse(text) else { return }
        try hold(seconds >= 0, "\(seconds) seconds")
        try hold(DurationText.parse("\t\(text) ") == seconds, "blanks around it count")
        try hold(DurationText.parse(String(seconds)) == seconds, "\(seconds) reads as another number")
        // A unit at its end: then two in a row are their sum.
        if let last = bytes.last, "dhms".utf8.contains(last), let first = bytes.first, ASCII.isDigit(first) {
            try hold(DurationText.parse(text + text) == Saturating.add(seconds, seconds), "twice is not the double")
        }
    }

    static func flowControl(_ bytes: [UInt8]) throws {
        let longest: Int64 = 604_800
        let flow: FlowControl
        do throws(FlowControl.Fault) {
            flow = try FlowControl.parse(key: "key", value: text(bytes), maxPeriod: longest)
        } catch {
            return try hold(!error.text.isEmpty, "refused without a reason")
        }
        let limits = [flow.parallelism, flow.rate].compactMap { $0 }
        try hold(!limits.isEmpty, "limits nothing")
        try hold(limits.allSatisfy { 1...Int(FlowControl.mostStarts) ~= $0 }, "a limit of \(limits)")
        try hold(1...Int(longest) ~= flow.period, "a period of \(flow.period)")
        var parts = ["period=\(flow.period)"]
        if let parallelism = flow.parallelism { parts.append("parallelism=\(parallelism)") }
        if let rate = flow.rate { parts.append("rate=\(rate)") }
        let again = try FlowControl.parse(key: "key", value: parts.joined(separator: " , "), maxPeriod: longest)
        try hold(again == flow, "written and read again it is \(again)")
    }

    static func retryDelay(_ bytes: [UInt8]) throws {
        let text = text(bytes)
        let expression: RetryDelayExpression
        do throws(RetryDelayExpression.Fault) {
            expression = try RetryDelayExpression(text)
        } catch {
            return try hold(!error.text.isEmpty, "refused without a reason")
        }
        let bracketed = text.utf8.count + 2 <= RetryDelayExpression.longestText ? try? bracket(text) : nil
        for retried in [0, 1, 2, 7, 100, Int.max] {
            let value = expression.evaluate(retried: retried)
            try hold(value.map { 0...86_400_000 ~= $0 } ?? true, "\(value ?? 0) ms")
            try hold(expression.evaluate(retried: retried) == value, "evaluated twice it differs")
            if let bracketed { try hold(bracketed.evaluate(retried: retried) == value, "in brackets it differs") }
            let cut = expression.evaluate(retried: retried, longest: 1000)
            try hold(cut == value.map { min($0, 1000) }, "a lower maximum gives \(cut ?? -1)")
        }
    }

    /// Nil-able by its caller: as deep as brackets may nest, one more is refused.
    private static func bracket(_ text: String) throws -> RetryDelayExpression {
        try RetryDelayExpression("(\(text))")
    }

    static func retryAfter(_ bytes: [UInt8]) throws {
        let text = text(bytes)
        let longest: Int64 = 86_400_000
        let delay = RetryAfter.parse(text, now: now, longest: longest)
        if let delay {
            try hold(0...longest ~= delay, "\(delay) ms")
            try hold(RetryAfter.parse(" \(text)\t", now: now) == delay, "blanks around it count")
            // A fraction of a millisecond that was cut off counts here.
            try hold(
                RetryAfter.parse(text, now: now, longest: delay + 1) == delay, "not even its own length is allowed")
            if delay > 0 {
                try hold(RetryAfter.parse(text, now: now, longest: delay - 1) == nil, "longer than allowed")
            }
        }
        let headers: HeaderMap = ["Retry-After": text, "X-Ratelimit-Reset": "7"]
        try hold(RetryAfter.delay(in: headers, now: now) == delay ?? 7000, "the second header is not asked")
        if let date = HTTPDate.parse(text) {
            try hold(date.seconds == slowDate(text), "\(text) is not \(date.iso8601)")
            let ahead = date.milliseconds(since: now)
            try hold(delay == (ahead > longest ? nil : max(0, ahead)), "a date \(ahead) ms ahead")
        }
    }

    /// An accepted HTTP date by the C library.
    private static func slowDate(_ text: String) -> Int64? {
        let words = text.split { $0 == " " || $0 == ":" }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        guard words.count == 8, let month = months.firstIndex(of: String(words[2])), let year = Int32(words[3]) else {
            return nil
        }
        var time = tm()
        let numbers = [words[1], words[4], words[5], words[6]].map { Int32($0) ?? -1 }
        (time.tm_mday, time.tm_mon, time.tm_year) = (numbers[0], Int32(month), year - 1900)
        (time.tm_hour, time.tm_min, time.tm_sec) = (numbers[1], numbers[2], numbers[3])
        return Int64(timegm(&time))
    }
}
