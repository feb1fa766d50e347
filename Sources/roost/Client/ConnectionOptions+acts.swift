/// What most commands do: one call, and what it came to.

import ArgumentParser
import Domain

extension ConnectionOptions {
    /// Shows one object.
    func show(_ path: String) async throws {
        let server = try connect()
        let answer = try await server.call("GET", path)
        if json { return try Terminal.output.json(answer.body) }
        try Record(value: try answer.json(server.base)).print(on: .output)
    }

    /// Changes something; prints `done`, or the answer with --json.
    ///
    /// - Parameter existing: the API would take it silently where there is no such thing; a mistyped name is told.
    func act(
        _ method: String, _ path: String, query: [HeaderField] = [], body: [UInt8] = [], existing: Bool = false,
        done: String
    ) async throws {
        let server = try connect()
        if existing { try await server.get(path) }
        let answer = try await server.call(method, path, query: query, body: body)
        // Any web server answers 200 to something; the API answers JSON, or nothing.
        if !answer.body.isEmpty { _ = try answer.json(server.base) }
        if json { try Terminal.output.json(answer.body) } else { try Terminal.output.say(done) }
    }
}

extension ParsableCommand {
    /// For a command that is nothing without one: a script whose verb came out empty must not pass for done.
    static var needsSubcommand: CommandFailure {
        let names = configuration.subcommands.map { $0._commandName }
        return CommandFailure(
            text: "\(_commandName) needs one of \(names.joined(separator: ", ")) (see roost \(_commandName) --help)",
            status: 2)
    }
}
