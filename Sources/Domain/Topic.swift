// A URL group: a name for a list of endpoints, with default headers (contract url-groups.md). Rules that change one
// are in Topic+edit, its JSON in Topic+json.

package struct Topic: Sendable, Hashable {
    package struct Endpoint: Sendable, Hashable {
        /// Free text; nil = unnamed.
        package var name: String?
        package var url: String

        package init(name: String? = nil, url: String) {
            self.name = name
            self.url = url
        }
    }

    package var name: String
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    /// In order of insertion; never empty in a stored topic.
    package var endpoints: [Endpoint]
    /// Defaults of publish headers, the weakest level; nil = none set.
    package var headers: HeaderMap?
    /// As the store knows it, compared as text; "" before the first store.
    package var revision: String

    package init(
        name: String, createdAt: Timestamp, updatedAt: Timestamp, endpoints: [Endpoint], headers: HeaderMap? = nil,
        revision: String = ""
    ) {
        self.name = name
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.endpoints = endpoints
        self.headers = headers
        self.revision = revision
    }
}
