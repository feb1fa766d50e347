// Whole requests: a publish with its headers, the bodies of the other calls, the queries of lists.

import Domain

extension FuzzTarget {
    /// What must hold of every refusal: a client error with a text that JSON carries unchanged.
    static func refusal(_ error: RequestError) throws {
        try hold(400...499 ~= error.status, "refused with \(error.status)")
        try hold(!error.text.isEmpty, "refused without a reason")
        let body = try JSONValue.read(error.body)
        try hold(body.object?["error"]?.string == error.text, "the body tells another reason: \(body)")
    }

    static func publish(_ bytes: [UInt8]) throws {
        let input = LinedInput(bytes)
        let headers: [HeaderField] = input.fields.map { ($0.name, text($0.value)) }
        let context = PublishContext(
            version: bytes.count % 8 == 1 ? .v1 : .v2, now: now, callerIP: "192.0.2.1", policy: AddressPolicy())
        let request: PublishRequest
        do throws(RequestError) {
            let parsed = try DestinationParser.parse(remainder: text(input.first))
            request = try PublishRequest.parse(
                destination: parsed.destination, headers: headers, query: parsed.query, body: input.body,
                context: context)
        } catch {
            try refusal(error)
            let names =
                ["destination", "Invalid cron expression", "DeduplicationId", "quota", "Content-Type", "not supported"]
                + headers.map { HeaderName.canonical($0.name) } + ["Upstash-"]
            return try hold(names.contains { error.text.contains($0) }, "names no field: \(error.text)")
        }
        try accepted(request, headers: headers)
    }

    private static func accepted(_ request: PublishRequest, headers: [HeaderField]) throws {
        let limits = Limits()
        try hold(request.notBefore >= request.createdAt, "due before it was made")
        try hold(
            request.notBefore <= request.createdAt.adding(seconds: limits.maxDelay), "due \(request.notBefore.iso8601)")
        try hold(0...Int(limits.maxRetries) ~= request.settings.retries, "\(request.settings.retries) retries")
        try hold(request.settings.timeout.map { 1...Int(limits.maxTimeout) ~= $0 } ?? true, "the timeout")
        for (name, value) in request.settings.header.fields {
            try hold(HeaderName.isToken(name) && HeaderName.canonical(name) == name, "a header named \(name)")
            try hold(HeaderName.isValidValue(value), "a value of \(name)")
            try hold(!HeaderName.isNeverForwarded(canonical: name), "\(name) is forwarded")
            try hold(!HeaderName.isOwn(canonical: name), "\(name) is ours")
        }
        for callback in [request.settings.callback, request.settings.failureCallback].compactMap({ $0 }) {
            try url(callback.url)
        }
        let topic = Topic(
            name: "t", createdAt: now, updatedAt: now,
            endpoints: [.init(name: "a", url: "https://a.example/"), .init(url: "https://b.example/")])
        for message in request.messages(topic: topic) {
            try record(message.record)
            try hold(message.due >= now, "due before now")
            try attempt(message, headers: headers)
        }
        if let schedule = request.newSchedule() {
            try record(schedule.template)
            try hold(schedule.next > now, "a first run in the past")
            _ = try JSONValue.read(schedule.json(now: now))
        }
    }

    /// The message fails with what came as its headers and body, and goes on.
    private static func attempt(_ new: NewMessage, headers: [HeaderField]) throws {
        let message = Message(id: new.id, record: new.record, body: new.body)
        _ = try JSONValue.read(MessageView.json(of: message))
        let outcome = Outcome.response(status: 500, headers: HeaderMap(headers), body: new.body)
        let step = NextStep.after(outcome, of: message, at: now, dlqId: "1-1")
        switch step.decision {
        case .retry(let time):
            try hold(time >= now && time.milliseconds(since: now) <= 86_400_000, "a retry \(time.iso8601)")
        case .dead: try hold(new.record.retries == 0, "dead with \(new.record.retries) retries left")
        case .delivered: throw Finding(description: "delivered by a 500")
        }
        for callback in step.callbacks {
            _ = try JSONValue.read(callback.body)
            try record(callback.record)
        }
    }

    static func bodies(_ bytes: [UInt8]) throws {
        try unlessRefused { () throws(RequestError) in try BulkIDs.read(bytes, field: "messageIds") }
        try unlessRefused { () throws(RequestError) in try QueueSettings.read(bytes) }
        try unlessRefused { () throws(RequestError) in try Topic.selectors(body: bytes) }
        let endpoints = try unlessRefused { () throws(RequestError) in
            try Topic.endpoints(body: bytes, policy: AddressPolicy())
        }
        for endpoint in endpoints ?? [] { try url(endpoint.url) }
        let defaults = try unlessRefused { () throws(RequestError) in try Topic.defaultHeaders(body: bytes, now: now) }
        if let defaults {
            let again = try PublishRequest.checkedDefaults(defaults, now: now)
            try hold(again == defaults, "defaults that were accepted are others the next time")
        }
        guard let items = try unlessRefused({ () throws(RequestError) in try BatchItem.list(body: bytes) }) else {
            return
        }
        // The items leave their bodies in the bytes: what is cut out later must be what a plain reading finds.
        let elements = try JSONValue.read(bytes).array ?? []
        try hold(elements.count == items.count, "\(items.count) items of \(elements.count)")
        for (item, element) in zip(items, elements) {
            let body = element.object?["body"]?.string ?? ""
            try hold(item.body(in: bytes) == Array(body.utf8), "a body that is not its own: \(body)")
            if case .url(let destination) = item.destination { try url(destination) }
        }
    }

    /// nil where it is refused.
    @discardableResult
    static func unlessRefused<Value>(_ read: () throws(RequestError) -> Value) throws -> Value? {
        do throws(RequestError) {
            return try read()
        } catch {
            try refusal(error)
            return nil
        }
    }

    static func listQuery(_ bytes: [UInt8]) throws {
        let pairs = QueryText.parameters(text(bytes))
        let subjects: [ListQuery.Subject] = [.messages, .dead, .log(defaultCount: 100), .groupedLog]
        let sample = MessageRecord(
            url: "https://example.com/a?b", topic: "t", labels: ["a", "b"], callerIP: "192.0.2.1", createdAt: now,
            notBefore: now)
        for subject in subjects {
            guard let query = try unlessRefused({ () throws(RequestError) in try ListQuery.read(pairs, of: subject) })
            else {
                continue
            }
            try hold(query.count.map { 1...1000 ~= $0 } ?? true, "a count of \(query.count ?? 0)")
            for bound in [query.from, query.to, query.range.from, query.range.to].compactMap({ $0 }) {
                try hold(bound >= 0, "a bound of \(bound)")
            }
            let passes = query.filter.passes(sample)
            try hold(passes == query.filter.passes(sample), "asked twice it differs")
            if query.filter.isEmpty { try hold(passes, "an empty filter keeps something back") }
        }
    }
}
