/// A real Redis for a suite: on its own socket, gone with the suite.

import Domain
import Engine
import Foundation
import Logging
import NIOCore
import NIOPosix
import RedisLink

package final class TestRedis: Sendable {
    package let server: RedisServerProcess
    package let client: RedisClient
    package let loop: any EventLoop

    /// - Parameter arguments: further words for redis-server.
    package init(_ arguments: [String] = [], appendOnly: Bool = false) throws {
        var options = RedisServerProcess.Options()
        options.appendOnly = appendOnly
        options.arguments = arguments
        server = try RedisServerProcess(options)
        loop = MultiThreadedEventLoopGroup.singleton.next()
        client = RedisClient(url: server.url, loop: loop, logger: Self.quiet)
    }

    package static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @discardableResult
    package func send(_ words: String...) async throws -> RedisValue {
        try await client.send(RedisCommand(parts: words.map(RedisPart.text)))
    }

    /// A script of `lua/inspect`, run as redis-cli --eval would.
    package func inspect(_ name: String, _ arguments: String...) async throws -> [String] {
        let source = try String(
            contentsOf: Contract.top.appendingPathComponent("lua/inspect/\(name).lua"), encoding: .utf8)
        let reply = try await client.send(
            RedisCommand(parts: (["EVAL", source, "1", "roost:{0}"] + arguments).map(RedisPart.text)))
        return reply.array?.compactMap(\.string) ?? [reply.string ?? ""]
    }

    /// What `audit` finds, page by page to the end; nothing in a sound store.
    package func audit() async throws -> [String] {
        var findings: [String] = []
        var cursor = "0"
        repeat {
            let lines = try await inspect("audit", cursor, "100")
            cursor = lines.first ?? "0"
            findings += lines.dropFirst()
        } while cursor != "0"
        return findings
    }

    /// A store over this Redis, with a clock that stands still where one is given.
    /// - Parameter commands: what it sends them to, where that is not the client itself.
    package func store(
        over commands: (any RedisCommands)? = nil, clock: NodeClock = NodeClock(),
        settings: StoreSettings = StoreSettings()
    ) -> Store {
        Store(
            redis: commands ?? client, clock: clock, settings: settings, logger: Self.quiet, metrics: EngineMetrics())
    }

    package func close() async {
        await client.shutDown()
        server.close()
    }
}
