/// What a message can be told, as options; each is a header of the API (contract publish.md §4).

import ArgumentParser
import Domain
import Foundation

struct MessageOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: "TEXT, @FILE, or - for standard input.")
    var body: String?
    @Option(name: .customLong("content-type"), help: "Content-Type of the body; none unless set.")
    var contentType: String?
    @Option(name: [.customShort("H"), .long], help: "'Name: value' for the destination; may be repeated.")
    var header: [String] = []
    @Option(help: "GET, POST (unless set), PUT, PATCH or DELETE.")
    var method: String?
    @Option(help: "Deliver after that time: 90s, 1h30m.")
    var delay: String?
    @Option(help: "Attempts after the first.")
    var retries: Int?
    @Option(name: .customLong("retry-delay"), help: "Milliseconds before a retry: 'pow(2, retried) * 1000'.")
    var retryDelay: String?
    @Option(help: "For one whole attempt: 30s.")
    var timeout: String?
    @Option(help: "Where the answer of each attempt is sent.")
    var callback: String?
    @Option(name: .customLong("callback-header"), help: "'Name: value' for the callback; may be repeated.")
    var callbackHeader: [String] = []
    @Option(name: .customLong("failure-callback"), help: "Where a message is sent that has failed for good.")
    var failureCallback: String?
    @Option(name: .customLong("failure-callback-header"), help: "'Name: value' for it; may be repeated.")
    var failureCallbackHeader: [String] = []
    @Option(help: "Queue: first in, first out.")
    var queue: String?
    @Option(name: .customLong("flow-key"), help: "Flow control: whose limits count. Needs --flow-value.")
    var flowKey: String?
    @Option(name: .customLong("flow-value"), help: "The limits: 'parallelism=3, rate=100, period=1m'.")
    var flowValue: String?
    @Option(name: .customLong("dedup-id"), help: "A second publish with it sends nothing.")
    var dedupID: String?
    @Flag(name: .customLong("content-dedup"), help: "The same, with an id made of destination and content.")
    var contentDedup = false
    @Option(help: "A label, for filters; may be repeated.")
    var label: [String] = []
    @Option(help: "What the API and logs hide: 'body, header[Authorization]'.")
    var redact: String?
    @Option(help: "What the answer waits for: memory, fsync or replica:N.")
    var ack: String?
    @Option(
        name: .customLong("upstash"),
        help: "'Name: value' becomes Upstash-Name, for what has no option: 'Callback-Retries: 5'; may be repeated.")
    var other: [String] = []

    func validate() throws {
        for (name, value) in [("delay", delay), ("timeout", timeout)] {
            if let value, DurationText.parse(value) == nil {
                throw ValidationError("--\(name): \"\(value)\" is not a duration such as 90s or 1h30m")
            }
        }
        if let retries, retries < 0 { throw ValidationError("--retries must be 0 or more") }
        if let retryDelay {
            do {
                _ = try RetryDelayExpression(retryDelay)
            } catch {
                throw ValidationError("--retry-delay: \(error.text)")
            }
        }
        if (flowKey == nil) != (flowValue == nil) {
            throw ValidationError("--flow-key and --flow-value must be given together")
        }
        if let ack, AckLevel(ack) == nil { throw ValidationError("--ack must be memory, fsync or replica:N") }
        if let method, !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(method.uppercased()) {
            throw ValidationError("--method must be GET, POST, PUT, PATCH or DELETE")
        }
        for field in try headers() where !HeaderName.isValidValue(field.value) {
            throw ValidationError("the value of \(field.name) \(HeaderName.valueRule)")
        }
    }

    /// In a fixed order, forwarded headers in the order given.
    func headers() throws -> [HeaderField] {
        var fields: [HeaderField] = []
        func add(_ name: String, _ value: String?) { if let value { fields.append((name, value)) } }
        add("Content-Type", contentType)
        add("Upstash-Method", method?.uppercased())
        add("Upstash-Delay", delay)
        add("Upstash-Retries", retries.map(String.init))
        add("Upstash-Retry-Delay", retryDelay)
        add("Upstash-Timeout", timeout)
        add("Upstash-Callback", callback)
        add("Upstash-Failure-Callback", failureCallback)
        add("Upstash-Queue-Name", queue)
        add("Upstash-Flow-Control-Key", flowKey)
        add("Upstash-Flow-Control-Value", flowValue)
        add("Upstash-Deduplication-Id", dedupID)
        add("Upstash-Content-Based-Deduplication", contentDedup ? "true" : nil)
        add("Upstash-Label", label.isEmpty ? nil : label.joined(separator: ","))
        add("Upstash-Redact-Fields", redact)
        add("Roost-Ack", ack)
        for text in header {
            let field = try Self.field(text, "--header")
            if ASCII.equalIgnoringCase(field.name, "Content-Type"), contentType == nil {
                fields.append(field)
            } else {
                add("Upstash-Forward-" + field.name, field.value)
            }
        }
        for (option, prefix, texts) in [
            ("--callback-header", "Upstash-Callback-Forward-", callbackHeader),
            ("--failure-callback-header", "Upstash-Failure-Callback-Forward-", failureCallbackHeader),
            ("--upstash", "Upstash-", other),
        ] {
            for text in texts {
                let field = try Self.field(text, option)
                add(prefix + field.name, field.value)
            }
        }
        return fields
    }

    static func field(_ text: String, _ option: String) throws -> HeaderField {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, HeaderName.isToken(String(parts[0])) else {
            throw ValidationError("\(option) must look like 'Name: value', not \"\(text)\"")
        }
        return (String(parts[0]), ASCII.trimmed(String(parts[1])))
    }
}

/// TEXT, @FILE or -, as `--body` says it.
enum BodyText {
    static func read(_ text: String?, option: String = "--body") throws(CommandFailure) -> [UInt8] {
        guard let text else { return [] }
        let path = text.hasPrefix("@") ? String(text.dropFirst()) : nil
        guard text == "-" || path != nil else { return Array(text.utf8) }
        do {
            guard let path, path != "-" else { return Array(try FileHandle.standardInput.readToEnd() ?? Data()) }
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw CommandFailure(text: "\(option): can't read \(path ?? "standard input")", status: 2)
        }
    }
}

enum DestinationText {
    /// For a path. Encoded as a whole, a URL arrives byte for byte, whatever stands in its query. Its fragment is never
    /// sent by clients.
    static func encoded(_ destination: String) -> String {
        let isURL = EndpointText.isURL(destination)
        return Percent.encodeComponent(isURL ? String(destination.prefix { $0 != "#" }) : destination)
    }
}
