/// A schedule as another server shows it, and the request that makes the same one here.

import Domain

struct ScheduleCopy: Hashable, Sendable {
    let id: String
    let cron: String
    let destination: String
    let method: String
    let retries: Int64
    let header: HeaderMap
    let body: [UInt8]
    let texts: [String: String]
    let callbackHeader: HeaderMap
    let failureCallbackHeader: HeaderMap
    let flow: String?
    let labels: [String]
    let isPaused: Bool

    /// Members that are a header each; durations are seconds.
    private static let members = [
        ("delay", "Upstash-Delay"), ("timeout", "Upstash-Timeout"), ("retryDelayExpression", "Upstash-Retry-Delay"),
        ("callback", "Upstash-Callback"), ("failureCallback", "Upstash-Failure-Callback"),
        ("queueName", "Upstash-Queue-Name"), ("flowControlKey", "Upstash-Flow-Control-Key"),
    ]

    /// What differs between servers and means the same is evened out: 0 for none, an empty text for none.
    init?(_ json: JSONValue) {
        guard let id = json["scheduleId"]?.string, let cron = json["cron"]?.string,
            let destination = json["destination"]?.string
        else { return nil }
        (self.id, self.cron, self.destination) = (id, ASCII.trimmed(cron), destination)
        method = json["method"]?.string?.nonEmpty ?? "POST"
        retries = json["retries"]?.int ?? 3
        func map(_ key: String) -> HeaderMap { json[key].flatMap { try? HeaderMap(json: $0) } ?? [:] }
        (header, callbackHeader, failureCallbackHeader) = (
            map("header"), map("callbackHeader"), map("failureCallbackHeader")
        )
        body =
            json["bodyBase64"]?.string.flatMap { Base64.decode($0) } ?? Array((json["body"]?.string ?? "").utf8)
        var texts: [String: String] = [:]
        for (key, _) in Self.members {
            if let text = json[key]?.string?.nonEmpty { texts[key] = text }
            if let number = json[key]?.int, number > 0 { texts[key] = String(number) }
        }
        let limits = [("parallelism", json["parallelism"]?.int), ("rate", json["rate"]?.int)]
            .compactMap { name, value in value.flatMap { $0 > 0 ? "\(name)=\($0)" : nil } }
        let hasRate = (json["rate"]?.int ?? 0) > 0
        let period = max(1, json["period"]?.int ?? 1)
        flow = limits.isEmpty ? nil : (limits + (hasRate ? ["period=\(period)"] : [])).joined(separator: ", ")
        if flow == nil { texts["flowControlKey"] = nil }
        self.texts = texts
        labels =
            json["labels"]?.array?.compactMap(\.string) ?? json["label"]?.string?.nonEmpty.map { [$0] } ?? []
        isPaused = json["isPaused"]?.bool ?? false
    }

    /// Its real content is never shown, by no server.
    var isRedacted: Bool {
        let values = [header, callbackHeader, failureCallbackHeader].flatMap { $0.fields.map(\.value) }
        return ([String(decoding: body, as: UTF8.self)] + values).contains { $0.hasPrefix("REDACTED:") }
    }

    var request: [HeaderField] {
        var fields: [HeaderField] = [
            ("Upstash-Schedule-Id", id), ("Upstash-Cron", cron), ("Upstash-Method", method),
            ("Upstash-Retries", String(retries)),
        ]
        for (key, name) in Self.members {
            if let text = texts[key] { fields.append((name, text)) }
        }
        if let flow { fields.append(("Upstash-Flow-Control-Value", flow)) }
        if !labels.isEmpty { fields.append(("Upstash-Label", labels.joined(separator: ","))) }
        for (name, value) in header.fields {
            fields.append((name == "Content-Type" ? name : "Upstash-Forward-" + name, value))
        }
        fields += callbackHeader.fields.map { ("Upstash-Callback-Forward-" + $0.name, $0.value) }
        fields += failureCallbackHeader.fields.map { ("Upstash-Failure-Callback-Forward-" + $0.name, $0.value) }
        return fields
    }

    /// What is different there, for people.
    func differences(from other: ScheduleCopy) -> [String] {
        var names: [String] = []
        func compare<Value: Equatable>(_ name: String, _ path: KeyPath<ScheduleCopy, Value>) {
            if self[keyPath: path] != other[keyPath: path] { names.append(name) }
        }
        compare("cron", \.cron)
        compare("destination", \.destination)
        compare("method", \.method)
        compare("retries", \.retries)
        compare("header", \.header)
        compare("body", \.body)
        compare("callbackHeader", \.callbackHeader)
        compare("failureCallbackHeader", \.failureCallbackHeader)
        compare("flow control", \.flow)
        compare("labels", \.labels)
        for (key, _) in Self.members where texts[key] != other.texts[key] { names.append(key) }
        return names
    }
}
