// How endpoints come and go (contract url-groups.md): pure functions from one topic to the next, applied by the store
// only if the topic still is what they were given.

extension Topic {
    /// Adds or updates endpoints one after the other: same name → its URL is replaced; else same URL → its name is set;
    /// else appended. Creates the topic where there is none.
    package static func upserting(
        _ endpoints: [Endpoint], into topic: Topic?, name: String, now: Timestamp, limits: Limits = Limits()
    ) throws(RequestError) -> Topic {
        try NameGrammar.check(name, kind: "topic")
        var topic = topic ?? Topic(name: name, createdAt: now, updatedAt: now, endpoints: [])
        let before = topic.endpoints.count
        for endpoint in endpoints { topic.upsert(endpoint) }
        // One that is above a limit that was lowered can still be changed.
        if Int64(topic.endpoints.count) > limits.maxEndpoints, topic.endpoints.count > before {
            throw .quota("maxEndpoints", limit: limits.maxEndpoints)
        }
        topic.updatedAt = now
        return topic
    }

    private mutating func upsert(_ endpoint: Endpoint) {
        let sameURL = endpoints.firstIndex { $0.url == endpoint.url }
        if let name = endpoint.name, let sameName = endpoints.firstIndex(where: { $0.name == name }) {
            endpoints[sameName].url = endpoint.url
            // Both hit different entries: the name's entry wins and the other goes away.
            if let sameURL, sameURL != sameName { endpoints.remove(at: sameURL) }
        } else if let sameURL {
            if let name = endpoint.name { endpoints[sameURL].name = name }
        } else {
            endpoints.append(endpoint)
        }
    }

    /// Which endpoint to remove.
    package struct Selector: Sendable, Hashable {
        package var name: String?
        package var url: String?

        package init(name: String? = nil, url: String? = nil) {
            self.name = name
            self.url = url
        }
    }

    /// Unknown ones are skipped. nil when nothing is left: an empty topic does not exist.
    package func removing(_ selectors: [Selector], now: Timestamp) -> Topic? {
        let names = Set(selectors.compactMap(\.name))
        let urls = Set(selectors.compactMap(\.url))
        var topic = self
        topic.endpoints.removeAll { urls.contains($0.url) || $0.name.map(names.contains) == true }
        topic.updatedAt = now
        return topic.endpoints.isEmpty ? nil : topic
    }

    /// Replaces the whole default header set; an empty one clears it.
    package func replacingHeaders(_ headers: HeaderMap, now: Timestamp) -> Topic {
        var topic = self
        topic.headers = headers.isEmpty ? nil : headers
        topic.updatedAt = now
        return topic
    }
}
