/// `roost topic`: names for lists of endpoints (contract url-groups.md).

import ArgumentParser
import Domain

struct Topics: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topic", abstract: "Topics (URL groups): names for lists of endpoints.",
        discussion: """
            EXAMPLES
              roost topic add orders mail=https://a.example.com https://b.example.com
              roost topic list
              roost topic get orders
              roost topic remove orders mail https://b.example.com
              roost topic delete orders
            """,
        version: Roost.version,
        subcommands: [List.self, Get.self, Add.self, Remove.self, Delete.self])

    func run() throws { throw Self.needsSubcommand }

    static func path(_ name: String) -> String { "/v2/topics/" + Percent.encodeComponent(name) }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List all topics.",
            discussion: """
                EXAMPLES
                  roost topic list
                  roost topic list --json | jq -r '.[].name'
                """,
            version: Roost.version)
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let server = try connection.connect()
            let answer = try await server.call("GET", "/v2/topics")
            if connection.json { return try Terminal.output.json(answer.body) }
            let clock = TimeText()
            var table = TextTable([
                .init(title: "TOPIC", least: nil), .init(title: "ENDPOINTS", isRight: true, least: nil),
                .init(title: "CHANGED"), .init(title: "URLS", least: 12),
            ])
            for topic in try answer.json(server.base).array ?? [] {
                let urls = (topic["endpoints"]?.array ?? []).map { $0.shown("url") }
                table.rows.append([
                    Cell(topic.shown("name")), Cell("\(urls.count)"),
                    Cell(topic.time("updatedAt").map(clock.relative) ?? ""), Cell(urls.joined(separator: " ")),
                ])
            }
            try Terminal.output.table(table)
        }
    }

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one topic: its endpoints and default headers.",
            discussion: """
                EXAMPLES
                  roost topic get orders
                """,
            version: Roost.version)
        @Argument(help: "The topic.") var name: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws { try await connection.show(Topics.path(name)) }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add endpoints; makes the topic where there is none.",
            discussion: """
                An endpoint with a known name gets the new URL, one with a known URL the new name.

                EXAMPLES
                  roost topic add orders https://a.example.com/hook
                  roost topic add orders mail=https://a.example.com stock=https://b.example.com
                """,
            version: Roost.version)
        @Argument(help: "The topic.") var name: String
        @Argument(help: "URL or NAME=URL, one or more.") var endpoints: [String]
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let list = endpoints.map(EndpointText.read)
            try await connection.act(
                "POST", Topics.path(name) + "/endpoints", body: EndpointText.json(list),
                done: "added \(list.count) to topic \(name)")
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove endpoints by name or URL; the last one takes the topic with it.",
            discussion: """
                EXAMPLES
                  roost topic remove orders mail https://b.example.com
                """,
            version: Roost.version)
        @Argument(help: "The topic.") var name: String
        @Argument(help: "Names or URLs, one or more.") var endpoints: [String]
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            let list = endpoints.map { text -> EndpointText.Parts in
                EndpointText.isURL(text) ? (nil, text) : (text, nil)
            }
            let server = try connection.connect()
            let path = Topics.path(name)
            let known = try await server.get(path)["endpoints"]?.array ?? []
            for (wantedName, wantedURL) in list
            where !known.contains(where: { end in
                wantedURL.map { $0 == end["url"]?.string } ?? (end["name"]?.string == wantedName)
            }) {
                throw CommandFailure(
                    text: "topic \(name) has no endpoint \(SafeText.line(wantedName ?? wantedURL ?? ""))",
                    status: ClientStatus.notFound)
            }
            try await connection.act(
                "DELETE", path + "/endpoints", body: EndpointText.json(list),
                done: "removed \(list.count) from topic \(name)")
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a topic; what is published to it then is refused.",
            discussion: """
                EXAMPLES
                  roost topic delete orders
                """,
            version: Roost.version)
        @Argument(help: "The topic.") var name: String
        @OptionGroup(title: "Server") var connection: ConnectionOptions

        func run() async throws {
            try await connection.act("DELETE", Topics.path(name), existing: true, done: "deleted topic \(name)")
        }
    }
}

/// Endpoints of a topic as people write them.
enum EndpointText {
    typealias Parts = (name: String?, url: String?)

    static func isURL(_ text: String) -> Bool {
        let text = text.lowercased()
        return text.hasPrefix("http://") || text.hasPrefix("https://")
    }

    /// `URL` or `NAME=URL`; a URL may hold `=`.
    static func read(_ text: String) -> Parts {
        guard !isURL(text), let equals = text.firstIndex(of: "=") else { return (nil, text) }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    static func json(_ list: [Parts]) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.key("endpoints")
            json.array { json in
                for endpoint in list {
                    json.object { json in
                        json.field("name", ifAny: endpoint.name)
                        json.field("url", ifAny: endpoint.url)
                    }
                }
            }
        }
        return json.bytes
    }
}
