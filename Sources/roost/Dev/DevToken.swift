/// Lets the console of `roost dev` in without asking. The token is a public constant, so nothing is told that is not known; yet
/// only a page of this server on this machine gets it, and no page of another site that a browser is made to open.

import Domain
import HTTPAPI

enum DevToken {
    static func respond(to request: APIRequest) -> APIResponse? {
        guard request.target == "/console/api/dev-token", request.method == "GET" else { return nil }
        func header(_ name: String) -> String? {
            request.headers.first { ASCII.equalIgnoringCase($0.name, name) }?.value
        }
        let host = header("Host") ?? ""
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
        let isHere = ["127.0.0.1", "localhost", "[::1]"].contains(String(name))
        guard isHere, header("Sec-Fetch-Site") == "same-origin" else { return APIResponse(RequestError.routeNotFound) }
        var json = JSONText()
        json.object { $0.field("token", DevelopmentCredentials.token) }
        return APIResponse(json: json.bytes, headers: [("Cache-Control", "no-store")])
    }
}
