// Topics as JSON: bodies of requests, answers, and the texts of the record in Redis.

extension Topic {
    /// Body of POST `/v2/topics/{group}/endpoints`. URLs are checked as destinations are.
    package static func endpoints(
        body: [UInt8], limits: Limits = Limits(), policy: AddressPolicy
    ) throws(RequestError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for (index, object) in try endpointObjects(body).enumerated() {
            guard let given = try text("url", of: object, at: index) else {
                throw .badRequest("endpoints[\(index)]: url is required")
            }
            let url = try DestinationURL.read(given, limits: limits)
            try policy.check(url: url)
            endpoints.append(Endpoint(name: try text("name", of: object, at: index), url: url))
        }
        return endpoints
    }

    /// Body of DELETE `/v2/topics/{group}/endpoints`.
    package static func selectors(body: [UInt8]) throws(RequestError) -> [Selector] {
        var selectors: [Selector] = []
        for (index, object) in try endpointObjects(body).enumerated() {
            let selector = Selector(
                name: try text("name", of: object, at: index), url: try text("url", of: object, at: index))
            if selector.name == nil && selector.url == nil {
                throw .badRequest("endpoints[\(index)]: name or url is required")
            }
            selectors.append(selector)
        }
        return selectors
    }

    /// Body of PATCH `/v2/topics/{group}`: `{"headers":{...}}`, values as publish reads them.
    package static func defaultHeaders(
        body: [UInt8], now: Timestamp, limits: Limits = Limits()
    ) throws(RequestError) -> HeaderMap {
        guard let given = try document(body).object?["headers"] else { throw .badRequest("headers is required") }
        do {
            let headers = try HeaderMap(json: given)
            return try PublishRequest.checkedDefaults(headers, now: now, limits: limits)
        } catch let error as JSONError {
            throw .badRequest("invalid headers: \(error)")
        } catch let error as RequestError {
            throw error
        } catch {
            throw .internalError
        }
    }

    /// `{"endpoints":[...]}` or the array alone; never empty.
    private static func endpointObjects(_ body: [UInt8]) throws(RequestError) -> [JSONObject] {
        let document = try document(body)
        guard let given = document.array ?? document.object?["endpoints"]?.array else {
            throw .badRequest("endpoints must be an array")
        }
        if given.isEmpty { throw .badRequest("endpoints must not be empty") }
        var objects: [JSONObject] = []
        for (index, value) in given.enumerated() {
            guard let object = value.object else { throw .badRequest("endpoints[\(index)] must be an object") }
            objects.append(object)
        }
        return objects
    }

    private static func document(_ body: [UInt8]) throws(RequestError) -> JSONValue {
        do {
            return try JSONValue.read(body)
        } catch {
            throw .badRequest("invalid JSON body: \(error)")
        }
    }

    /// nil for absent, null and empty.
    private static func text(_ key: String, of object: JSONObject, at index: Int) throws(RequestError) -> String? {
        switch object[key] {
        case nil, .null: return nil
        case .string(let text): return text.isEmpty ? nil : text
        case .some(let value): throw .badRequest("endpoints[\(index)]: \(key) must be a text, not \(value.kind)")
        }
    }
}

extension Topic {
    /// The group object (contract url-groups.md).
    package func write(to json: inout JSONText) {
        json.object { json in
            json.field("name", name)
            json.field("createdAt", createdAt)
            json.field("updatedAt", updatedAt)
            json.key("endpoints")
            writeEndpoints(to: &json)
            if let headers, !headers.isEmpty { json.field("headers", headers) }
        }
    }

    package var json: [UInt8] {
        var json = JSONText()
        write(to: &json)
        return json.bytes
    }

    /// By name.
    package static func json(list: [Topic]) -> [UInt8] {
        var json = JSONText()
        json.array { json in
            for topic in list.sorted(by: { $0.name < $1.name }) { topic.write(to: &json) }
        }
        return json.bytes
    }

    private func writeEndpoints(to json: inout JSONText) {
        json.array { json in
            for endpoint in endpoints {
                json.object { json in
                    json.field("name", ifAny: endpoint.name)
                    json.field("url", endpoint.url)
                }
            }
        }
    }
}

extension Topic {
    /// Field `endpoints` of the hash in Redis.
    package var endpointsText: [UInt8] {
        var json = JSONText()
        writeEndpoints(to: &json)
        return json.bytes
    }

    /// Field `headers`; empty for none.
    package var headersText: [UInt8] { headers?.json ?? [] }

    /// Reads the hash. Throws where a field is missing or is not what was written.
    package static func decode(name: String, fields: [String: [UInt8]]) throws(JSONError) -> Topic {
        let number = { (key: String) throws(JSONError) -> Timestamp in
            guard let bytes = fields[key], let value = ASCII.saturatingInteger(bytes) else {
                throw JSONError(text: "\(key) of topic \(name) is missing or no number", offset: nil)
            }
            return Timestamp(milliseconds: value)
        }
        guard let endpointsText = fields["endpoints"], let revision = fields["revision"],
            let elements = try JSONValue.read(endpointsText).array
        else { throw JSONError(text: "endpoints or revision of topic \(name) is missing", offset: nil) }
        var endpoints: [Endpoint] = []
        for element in elements {
            let members = try JSONMembers(element, of: "endpoint of topic \(name)")
            endpoints.append(Endpoint(name: try members.optionalString("name"), url: try members.string("url")))
        }
        var headers: HeaderMap?
        if let text = fields["headers"], !text.isEmpty { headers = try HeaderMap(json: try JSONValue.read(text)) }
        return Topic(
            name: name, createdAt: try number("createdAt"), updatedAt: try number("updatedAt"), endpoints: endpoints,
            headers: headers, revision: String(decoding: revision, as: UTF8.self))
    }
}
