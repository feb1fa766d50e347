/// The console's pages and assets: static files of the binary. What they show comes from the API, with the reader's token.

import Crypto
import Domain
import HTTPAPI

package enum WebPages {
    private struct Asset: Sendable {
        let type: String
        let bytes: [UInt8]
        let tag: String

        init(_ type: String, _ bytes: [UInt8]) {
            (self.type, self.bytes) = (type, bytes)
            tag = "\"" + SHA256.hash(data: bytes).prefix(8).map { String($0, radix: 16) }.joined(separator: "-") + "\""
        }
    }

    private static let assets: [String: Asset] = [
        "": Asset("text/html; charset=utf-8", PackageResources.index_html),
        "style.css": Asset("text/css; charset=utf-8", PackageResources.style_css),
        "app.js": Asset("text/javascript; charset=utf-8", PackageResources.app_js),
        "kit.js": Asset("text/javascript; charset=utf-8", PackageResources.kit_js),
        "plot.js": Asset("text/javascript; charset=utf-8", PackageResources.plot_js),
        "messages.js": Asset("text/javascript; charset=utf-8", PackageResources.messages_js),
        "lists.js": Asset("text/javascript; charset=utf-8", PackageResources.lists_js),
        "publish.js": Asset("text/javascript; charset=utf-8", PackageResources.publish_js),
        "icon.svg": Asset("image/svg+xml", PackageResources.icon_svg),
    ]

    private static let guards: [HeaderField] = [
        (
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
        // A new version of the binary must show at once; the tag makes that cheap.
        ("Cache-Control", "no-cache"),
    ]

    /// Nil for what is not a page or an asset: `/console/api/…` is the API's.
    package static func respond(to request: APIRequest) -> APIResponse? {
        guard request.target.utf8.starts(with: "/console".utf8) else { return nil }
        let path = request.target.prefix { $0 != "?" }
        guard path == "/console" || path.hasPrefix("/console/"), !path.hasPrefix("/console/api/") else { return nil }
        guard request.method == "GET" || request.method == "HEAD" else {
            return APIResponse(RequestError.methodNotAllowed(allow: "GET, HEAD"))
        }
        // Relative, so that it holds behind a path prefix, too.
        if path == "/console" { return answer(status: 308, [("Location", "console/")]) }
        guard let asset = assets[String(path.dropFirst("/console/".count))] else {
            return APIResponse(RequestError.routeNotFound)
        }
        let known = request.headers.first { ASCII.equalIgnoringCase($0.name, "If-None-Match") }?.value
        if known == asset.tag { return answer(status: 304, [("ETag", asset.tag)]) }
        return answer(status: 200, [("Content-Type", asset.type), ("ETag", asset.tag)], asset.bytes)
    }

    private static func answer(status: Int, _ headers: [HeaderField], _ body: [UInt8] = []) -> APIResponse {
        var response = APIResponse(status: status, text: "")
        response.headers = headers + guards
        response.body = body
        return response
    }
}
