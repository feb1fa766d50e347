/// `roost keys`: what deliveries are signed with (contract keys.md).

import ArgumentParser
import Domain

struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Signing keys of deliveries.",
        discussion: """
            EXAMPLES
              roost keys show
              roost keys rotate
            """,
        version: Roost.version, subcommands: [Show.self, Rotate.self])

    func run() throws { throw Self.needsSubcommand }

    static func tell(_ answer: Answer, _ connection: ConnectionOptions) throws {
        if connection.json { return try Terminal.output.json(answer.body) }
        let keys = try answer.json("the server")
        try Terminal.output.say("QSTASH_CURRENT_SIGNING_KEY=\(keys.shown("current"))")
        try Terminal.output.say("QSTASH_NEXT_SIGNING_KEY=\(keys.shown("next"))")
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show both keys, as a receiver's environment wants them.",
            discussion: """
                EXAMPLES
                  roost keys show >> receiver.env
                  roost keys show --json > keys.json       for roost verify --keys keys.json
                """,
            version: Roost.version)
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try Keys.tell(try await connection.connect().call("GET", "/v2/keys"), connection)
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign with the next key from now on, and make a new next one.",
            discussion: """
                Receivers hold both keys, so one rotation breaks nothing; give them the new pair before the one after.

                EXAMPLES
                  roost keys rotate --yes
                """,
            version: Roost.version)
        @Flag(help: "Without a question.") var yes = false
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            try Confirmation.ask("Rotate the signing keys of \(server.base)?", yes: yes)
            try Keys.tell(try await server.call("POST", "/v2/keys/rotate"), connection)
        }
    }
}
