/// A request and an answer as values: what the connection makes of bytes, and what the handlers see.

import Domain

package struct APIRequest: Sendable {
    package var method: String
    /// The raw request target: never decoded, never normalised (contract conventions.md §1).
    package var target: String
    package var headers: [HeaderField]
    package var body: [UInt8]
    /// The address of the connection's peer, without port.
    package var peer: String

    package init(
        method: String, target: String, headers: [HeaderField] = [], body: [UInt8] = [], peer: String = "127.0.0.1"
    ) {
        (self.method, self.target, self.headers, self.body, self.peer) = (method, target, headers, body, peer)
    }

    /// The first value of a header, name in any case.
    func header(_ name: String) -> String? {
        headers.first { ASCII.equalIgnoringCase($0.name, name) }?.value
    }
}

package struct APIResponse: Sendable {
    package var status: Int
    package var headers: [HeaderField]
    package var body: [UInt8]
    /// Parts of a body that is sent as it comes, until the stream or the connection ends; `body` is not sent then.
    package var stream: AsyncStream<[UInt8]>?

    package init(status: Int = 200, json body: [UInt8], headers: [HeaderField] = []) {
        self.status = status
        self.headers = [("Content-Type", "application/json")] + headers
        self.body = body
    }

    package init(status: Int = 200, text: String, type: String = "text/plain; charset=utf-8") {
        self.status = status
        headers = [("Content-Type", type)]
        body = Array(text.utf8)
    }

    package init(_ error: RequestError) {
        self.init(status: error.status, json: error.body, headers: error.headers)
    }

    /// A success without data (contract conventions.md §1).
    static let empty = APIResponse(json: Array("{}".utf8))
}
