// The JSON text of a record in Redis: written for people to read with redis-cli, read back here. Keys that are not
// known are skipped, so that an older version reads what a newer one wrote.

extension MessageRecord {
    package func encode() -> [UInt8] {
        var json = JSONText(capacity: 512)
        json.object { json in
            json.field("url", url)
            json.field("method", method.rawValue)
            json.field("header", header)
            json.field("topic", ifAny: topic)
            json.field("endpoint", ifAny: endpoint)
            json.field("queue", ifAny: queue)
            json.field("schedule", ifAny: schedule)
            json.field("retries", retries)
            json.field("retryDelay", ifAny: retryDelay)
            json.field("timeout", ifAny: timeout)
            if let callback { callback.write("callback", to: &json) }
            if let failureCallback { failureCallback.write("failureCallback", to: &json) }
            json.field("labels", ifAny: labels)
            if let flowControl { flowControl.write(to: &json) }
            if let redaction { redaction.write(to: &json) }
            json.field("traceparent", ifAny: trace?.parent)
            json.field("tracestate", ifAny: trace?.state)
            json.field("version", version.rawValue)
            json.field("callerIp", callerIP)
            json.field("createdAt", createdAt)
            json.field("notBefore", notBefore)
        }
        return json.bytes
    }

    package static func decode(_ bytes: [UInt8]) throws(JSONError) -> MessageRecord {
        let members = try JSONMembers(try JSONValue.read(bytes), of: "message")
        return MessageRecord(
            url: try members.string("url"), method: try members.method("method"),
            header: try members.header("header"), topic: try members.optionalString("topic"),
            endpoint: try members.optionalString("endpoint"), queue: try members.optionalString("queue"),
            schedule: try members.optionalString("schedule"), retries: try members.int("retries"),
            retryDelay: try members.optionalString("retryDelay"), timeout: try members.optionalInt("timeout"),
            callback: try members.callback("callback"), failureCallback: try members.callback("failureCallback"),
            labels: try members.strings("labels"), flowControl: try members.flowControl("flowControl"),
            redaction: try members.redaction("redact"),
            trace: TraceContext(
                parent: try members.optionalString("traceparent") ?? "", state: try members.optionalString("tracestate")
            ),
            version: try members.version("version"),
            callerIP: try members.string("callerIp"),
            createdAt: try members.time("createdAt"), notBefore: try members.time("notBefore"))
    }
}

extension CallbackSettings {
    fileprivate func write(_ name: String, to json: inout JSONText) {
        json.key(name)
        json.object { json in
            json.field("url", url)
            json.field("method", method.rawValue)
            json.field("header", header)
            json.field("retries", ifAny: retries)
            json.field("retryDelay", ifAny: retryDelay)
            json.field("timeout", ifAny: timeout)
            json.field("delay", ifAny: delay)
            if let notBefore { json.field("notBefore", notBefore) }
            json.field("labels", ifAny: labels)
            if let flowControl { flowControl.write(to: &json) }
            callback?.write("callback", to: &json)
            failureCallback?.write("failureCallback", to: &json)
        }
    }

    fileprivate init(_ members: JSONMembers) throws(JSONError) {
        self.init(
            url: try members.string("url"), method: try members.method("method"),
            header: try members.header("header"), retries: try members.optionalInt("retries"),
            retryDelay: try members.optionalString("retryDelay"), timeout: try members.optionalInt("timeout"),
            delay: try members.optionalInt("delay"), notBefore: try members.optionalTime("notBefore"),
            labels: try members.strings("labels"), flowControl: try members.flowControl("flowControl"),
            callback: try members.callback("callback"), failureCallback: try members.callback("failureCallback"))
    }
}

extension Redaction {
    fileprivate func write(to json: inout JSONText) {
        json.key("redact")
        json.object { json in
            json.field("body", hidesBody)
            json.field("bodyDigest", ifAny: bodyDigest)
            json.field("allHeaders", hidesAllHeaders)
            json.field("headers", ifAny: headers)
        }
    }
}

extension FlowControl {
    fileprivate func write(to json: inout JSONText) {
        json.key("flowControl")
        json.object { json in
            json.field("key", key)
            json.field("parallelism", ifAny: parallelism)
            json.field("rate", ifAny: rate)
            json.field("period", period)
        }
    }
}

extension JSONMembers {
    fileprivate func callback(_ key: String) throws(JSONError) -> CallbackSettings? {
        guard let value = self[key] else { return nil }
        return try CallbackSettings(JSONMembers(value, of: key))
    }

    fileprivate func flowControl(_ key: String) throws(JSONError) -> FlowControl? {
        guard let value = self[key] else { return nil }
        let members = try JSONMembers(value, of: key)
        return FlowControl(
            key: try members.string("key"), parallelism: try members.optionalInt("parallelism"),
            rate: try members.optionalInt("rate"), period: try members.int("period"))
    }

    fileprivate func redaction(_ key: String) throws(JSONError) -> Redaction? {
        guard let value = self[key] else { return nil }
        let members = try JSONMembers(value, of: key)
        return Redaction(
            body: members["body"] == .bool(true), allHeaders: members["allHeaders"] == .bool(true),
            headers: try members.strings("headers"), bodyDigest: try members.optionalString("bodyDigest"))
    }

    fileprivate func method(_ key: String) throws(JSONError) -> Method {
        let text = try string(key)
        guard let method = Method(rawValue: text) else { throw fault(key, "is not a method") }
        return method
    }

    fileprivate func version(_ key: String) throws(JSONError) -> APIVersion {
        guard let version = APIVersion(rawValue: Int64(try int(key))) else { throw fault(key, "is unknown") }
        return version
    }
}
