/// `roost doctor`: what is wrong, a line each.

import ArgumentParser
import Engine
import Foundation
import Logging
import NIOCore
import NIOPosix
import RedisLink

struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check the settings, Redis and every invariant of the store; a line for each finding.",
        discussion: """
            Reads only, and may run beside servers. Exit status 0 where all is well, 1 where something was found or Redis
            does not answer, 2 for wrong arguments. Run it with the environment of the server; --store leaves out the settings.

            EXAMPLES
              roost doctor
              roost doctor --config /etc/roost.yaml
              roost doctor --store --redis-url unix:///run/redis/redis.sock
            """,
        version: Roost.version)

    @OptionGroup var options: ServerOptions

    @Option(
        name: .customLong("redis-url"), help: "ROOST_REDIS_URL; without a password, which belongs in the environment.")
    var redisURL: String?

    @Flag(name: .customLong("store"), help: "Only Redis and the store: not whether the settings suit production.")
    var storeOnly = false

    func run() async throws {
        if options.listsSettings { return print(ServerOptions.settingsTable()) }
        var sources = options.sources()
        try RedisURLOption.check(redisURL)
        if let redisURL { sources.flags["ROOST_REDIS_URL"] = redisURL }
        var findings: [String] = []
        let settings: Settings
        do {
            settings = try await sources.load()
        } catch {
            return try report(error.lines.map { "settings: \($0)" }, summary: "")
        }
        if !storeOnly { findings = settings.productionProblems().map { "settings: \($0)" } }
        guard let url = settings.redisURL else {
            if storeOnly { findings.append("settings: ROOST_REDIS_URL is missing") }
            return try report(findings, summary: "")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var quiet = Logger(label: "roost.doctor") { _ in SwiftLogNoOpLogHandler() }
        quiet.logLevel = .critical
        let redis = RedisClient(url: url, loop: group.next(), logger: quiet)
        let (found, summary) = await examine(redis, settings, quiet)
        await redis.shutDown()
        try? await group.shutdownGracefully()
        try report(findings + found, summary: summary)
    }

    private func report(_ findings: [String], summary: String) throws {
        for line in findings { Console.say(SafeText.line(line)) }
        if !findings.isEmpty { throw ExitCode(1) }
        Console.say("all is well: \(summary)")
    }

    private func examine(
        _ redis: RedisClient, _ settings: Settings, _ logger: Logger
    ) async -> (findings: [String], summary: String) {
        var checkup = RedisCheckup(redis: redis, settings: settings, now: Int64(Date().timeIntervalSince1970 * 1000))
        do {
            try await checkup.run()
        } catch {
            return (checkup.findings + ["redis: \(error)"], "")
        }
        let store = Store(
            redis: redis, clock: NodeClock(), settings: settings.engine.store, logger: logger, metrics: EngineMetrics())
        do {
            try await store.clock.sync(over: redis)
            if let problem = try await store.schemaProblem() { return (checkup.findings + ["store: \(problem)"], "") }
            let findings = await store.examine()
            let census = try await store.census()
            return (
                checkup.findings + findings,
                "\(checkup.summary); \(census.messages) live messages, \(census.nodes) servers that deliver"
            )
        } catch {
            return (checkup.findings + ["store: \(error)"], "")
        }
    }
}
