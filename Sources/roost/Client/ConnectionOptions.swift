/// Which server a command talks to, and as whom. A token never stands in an argument: other users of a machine can
/// read those.

import ArgumentParser
import Domain
import Foundation

struct ConnectionOptions: ParsableArguments {
    @Option(help: "The server; without it QSTASH_URL, else http://127.0.0.1:8080.")
    var url: String?

    @Option(
        name: .customLong("token-file"),
        help: "A file with the token; without it QSTASH_TOKEN or QSTASH_TOKEN_FILE.", completion: .file())
    var tokenFile: String?

    @Flag(help: "A roost dev on this machine: its public token, and QSTASH_URL only where that is this machine.")
    var dev = false

    @Option(
        name: .customLong("ca-file"), help: "Trust roots for https (PEM) in place of the system's.", completion: .file()
    )
    var caFile: String?

    @Option(help: "Seconds to wait for an answer.")
    var wait = 60

    @Flag(help: "What the server answers, for scripts: a document, or one line for each entry of a list with pages.")
    var json = false

    func validate() throws {
        guard (1...86_400).contains(wait) else { throw ValidationError("--wait must be 1 to 86400 seconds") }
        if dev, tokenFile != nil { throw ValidationError("--dev and --token-file: give one of them") }
    }

    func connect() throws(CommandFailure) -> ServerConnection {
        let environment = ProcessInfo.processInfo.environment
        // With --dev the environment's counts where it is this machine, as roost dev prints it.
        let known = environment["QSTASH_URL"]?.nonEmpty.flatMap { !dev || ServerURL.isLoopback($0) ? $0 : nil }
        let given = url ?? known ?? "http://127.0.0.1:8080"
        let base = try ServerURL.base(given, from: url == nil ? "QSTASH_URL" : "--url")
        if dev, !ServerURL.isLoopback(base) {
            throw CommandFailure(text: "--dev is for a server on this machine, not for \(base)", status: 2)
        }
        let token = try dev ? DevelopmentCredentials.token : Secret.read("QSTASH_TOKEN", file: tokenFile)
        guard let token else {
            throw CommandFailure(
                text:
                    "QSTASH_TOKEN is missing: set it, or QSTASH_TOKEN_FILE, or --token-file; for a roost dev say --dev",
                status: 2)
        }
        return try ServerConnection(base: base, token: token, caFile: caFile, seconds: wait)
    }

}

enum ServerURL {
    /// Without a slash at its end.
    static func base(_ text: String, from place: String) throws(CommandFailure) -> String {
        var text = ASCII.trimmed(text)
        while text.hasSuffix("/") { text.removeLast() }
        let parts = URLComponents(string: text)
        guard let parts, ["http", "https"].contains(parts.scheme?.lowercased()), parts.host?.isEmpty == false,
            text.utf8.allSatisfy({ !Percent.isIllegalInURL($0) })
        else {
            throw CommandFailure(
                text: "\(place) must be a URL such as http://127.0.0.1:8080, not \"\(SafeText.line(text))\"", status: 2)
        }
        if parts.user != nil || parts.query != nil || parts.fragment != nil {
            throw CommandFailure(text: "\(place) must hold no user, query or fragment", status: 2)
        }
        return text
    }

    static func isLoopback(_ base: String) -> Bool {
        let host = URLComponents(string: base)?.host ?? ""
        return host == "localhost" || host == "[::1]" || host == "::1" || host.hasPrefix("127.")
    }
}

extension String {
    var nonEmpty: String? { isEmpty ? nil : self }
}

/// Secrets from the environment and from files, as the server's settings read them.
enum Secret {
    /// The secret of that name, from a file or the environment; nil where there is none.
    static func read(
        _ name: String, file: String? = nil, _ environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(CommandFailure) -> String? {
        let value = environment[name]?.nonEmpty
        let path = environment[name + "_FILE"]?.nonEmpty
        if file == nil, value != nil, path != nil {
            throw CommandFailure(text: "\(name) and \(name)_FILE are both set: use one", status: 2)
        }
        guard let path = file ?? (value == nil ? path : nil) else {
            guard let value else { return nil }
            return try word(value, name)
        }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw CommandFailure(text: "can't read the token file \(path)", status: 2)
        }
        return try word(text.trimmingCharacters(in: .whitespacesAndNewlines), path)
    }

    private static func word(_ text: String, _ place: String) throws(CommandFailure) -> String {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw CommandFailure(text: "\(place) must hold one word of visible ASCII characters", status: 2)
        }
        return text
    }
}
