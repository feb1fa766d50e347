// The headers of one delivery (contract delivery.md §1). Host and Content-Length are the HTTP client's.

package enum DeliveryHeaders {
    package static let userAgent = "Upstash-QStash"

    /// Forwarded ones first, ours after them; ours win, except that `User-Agent` may be replaced.
    ///
    /// - `signature`: made for this very attempt.
    /// - `region`: empty or nil sends no header.
    package static func list(for message: Message, signature: String, region: String?) -> [HeaderField] {
        let record = message.record
        var fields: [HeaderField] = []
        fields.reserveCapacity(record.header.entries.count + 9)
        if !record.header.contains("User-Agent") { fields.append((name: "User-Agent", value: userAgent)) }
        for entry in record.header.entries where isForwarded(entry.name) {
            for value in entry.values { fields.append((name: entry.name, value: value)) }
        }
        if let trace = record.trace, !record.header.contains("Traceparent") {
            fields.append((name: "traceparent", value: trace.parent))
            if let state = trace.state { fields.append((name: "tracestate", value: state)) }
        }
        fields.append((name: "Upstash-Message-Id", value: message.id.text))
        fields.append((name: "Upstash-Retried", value: String(message.retried)))
        if let topic = record.topic { fields.append((name: "Upstash-Topic-Name", value: topic)) }
        if let schedule = record.schedule { fields.append((name: "Upstash-Schedule-Id", value: schedule)) }
        fields.append((name: "Upstash-Caller-Ip", value: record.callerIP))
        if let region, !region.isEmpty { fields.append((name: "Upstash-Region", value: region)) }
        fields.append((name: "Upstash-Signature", value: signature))
        return fields
    }

    private static func isForwarded(_ name: String) -> Bool {
        !HeaderName.isOwn(canonical: name) && !HeaderName.isNeverForwarded(canonical: name)
    }
}
