/// Lists that come in pages: read up to a limit, a page at a time.

import ArgumentParser
import Domain

struct ListRange: ParsableArguments {
    @Option(name: .customLong("limit"), help: "How many at most (100 unless set).")
    var most: Int?
    @Flag(help: "All of them.")
    var all = false
    @Flag(help: "The oldest first.")
    var oldest = false

    /// nil for all.
    var limit: Int? { all ? nil : most ?? 100 }
    var order: [HeaderField] { oldest ? [("order", "earliestFirst")] : [] }

    func validate() throws {
        if let most, most < 1 { throw ValidationError("--limit must be at least 1") }
        if most != nil, all { throw ValidationError("--limit and --all: give one of them") }
    }
}

struct Pages: Sendable {
    let server: ServerConnection
    let path: String
    /// Of the answer, the list.
    let field: String
    let query: [HeaderField]
    /// The most the API gives in one answer.
    let pageSize: Int

    /// - Parameter limit: nil for all.
    func read(limit: Int?, _ visit: ([JSONValue]) async throws -> Void) async throws {
        var left = limit ?? .max
        var cursor: String?
        while left > 0 {
            let fields =
                query + [("count", String(min(left, pageSize)))] + (cursor.map { [("cursor", $0)] } ?? [])
            let page = try await server.get(path, query: fields)
            let entries = page[field]?.array ?? []
            try await visit(Array(entries.prefix(left)))
            left -= min(left, entries.count)
            // The hosted service answers an empty cursor on its last page in places.
            guard let next = page["cursor"]?.string?.nonEmpty, next != cursor else { return }
            cursor = next
        }
    }
}
