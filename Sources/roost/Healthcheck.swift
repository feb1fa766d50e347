/// `roost healthcheck`: an exit status for containers, without a shell or curl in the image.

import ArgumentParser
import CurlLink
import Foundation

struct Healthcheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Ask a running server whether it is alive; exit status 0 or 1.",
        discussion: """
            EXAMPLES
              roost healthcheck
              roost healthcheck --ready --url http://127.0.0.1:9000
            """,
        version: Roost.version)

    @Option(help: "Where the server is; without it as ROOST_LISTEN and PORT say.")
    var url: String?

    @Flag(help: "Ask whether it is ready for work too (/ready instead of /health).")
    var ready = false

    func run() async throws {
        let base = if let url { url } else { try await Self.local() }
        let exchange = HTTPExchange(
            url: base + (ready ? "/ready" : "/health"), method: "GET", headers: [], body: [], timeoutMilliseconds: 5000)
        var settings = CurlSettings()
        settings.trustsAnyCertificate = url == nil
        let client = CurlClient(settings: settings)
        defer { client.shutDown() }
        switch await client.send(exchange) {
        case .response(let response):
            let text = String(decoding: response.body, as: UTF8.self)
            guard response.status == 200 else {
                throw CommandFailure(text: "\(base) answers \(response.status): \(text)")
            }
            print(text)
        case .failure(let failure):
            throw CommandFailure(text: "\(base): \(failure)")
        }
    }

    private static func local() async throws(SettingProblems) -> String {
        var sources = SettingSources()
        sources.environment = sources.environment.filter {
            ["ROOST_LISTEN", "PORT", "ROOST_CONFIG", "ROOST_TLS_CERT", "ROOST_TLS_KEY"].contains($0.key)
        }
        let settings = try await sources.load()
        let host = ["0.0.0.0", "::"].contains(settings.host) ? "127.0.0.1" : settings.host
        let scheme = settings.tlsCertificate == nil ? "http" : "https"
        return "\(scheme)://" + (host.contains(":") ? "[\(host)]" : host) + ":\(settings.port)"
    }
}
