/// `roost dev`: everything in one process, for a developer's machine.

import ArgumentParser
import Domain
import Engine
import Foundation
import HTTPAPI
import Logging
import RedisLink

struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run everything on this machine, with a Redis of its own and development credentials.",
        discussion: """
            EXAMPLES
              roost dev
              roost dev --port 9000 --data /tmp/roost
            """,
        version: Roost.version)

    @OptionGroup var options: ServerOptions

    @Option(help: "Folder for the messages; a restart with the same folder loses nothing.")
    var data = ".roost"

    func run() async throws {
        if options.listsSettings { return print(ServerOptions.settingsTable()) }
        var sources = options.sources()
        // The development mode has its own; what is set for production, or for the cloud, must not leak into it.
        for name in ["ROOST_REDIS_URL", "QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"] {
            sources.environment[name] = nil
            sources.environment[name + "_FILE"] = nil
        }
        var defaults = Settings()
        defaults.token = DevelopmentCredentials.token
        defaults.currentSigningKey = DevelopmentCredentials.keys.current
        defaults.nextSigningKey = DevelopmentCredentials.keys.next
        defaults.allowPrivate = true
        var settings = try await sources.load(into: defaults)
        if let port = options.port { settings.port = port }

        let folder = try DataFolder(data)
        let redis = try startRedis(in: folder)
        defer { redis.close() }
        let logger = StandardErrorLog.makeLogger(settings)
        let echo = Echo(say: Console.say)
        var server = Server(settings: settings, redisURL: redis.url, logger: logger)
        server.trustsRedis = true
        server.extra = { request, keyring in
            if let response = DevToken.respond(to: request) { return response }
            return await echo.respond(to: request, keys: keyring.keys)
        }
        server.lastWords = { redis.kill() }
        server.ready = { port in
            Console.say(Self.banner(port: port, data: folder.path, socket: redis.socketPath))
        }
        try await server.run(stop: StopSignals())
        withExtendedLifetime(folder) {}
    }

    private func startRedis(in folder: DataFolder) throws -> RedisServerProcess {
        var options = RedisServerProcess.Options()
        options.dataFolder = folder.path
        do {
            return try RedisServerProcess(options)
        } catch {
            throw CommandFailure(text: error.description)
        }
    }

    static func banner(port: Int, data: String, socket: String) -> String {
        let url = "http://127.0.0.1:\(port)"
        return """

            roost \(Roost.version) running at \(url)
            console at \(url)/console
            messages in \(data), look inside with: redis-cli -s \(socket)

            For your program:
              export QSTASH_URL="\(url)"
              export QSTASH_TOKEN="\(DevelopmentCredentials.token)"
              export QSTASH_CURRENT_SIGNING_KEY="\(DevelopmentCredentials.keys.current)"
              export QSTASH_NEXT_SIGNING_KEY="\(DevelopmentCredentials.keys.next)"

            Try it in another terminal; the delivery and its callback show up here:
              curl -X POST "\(url)/v2/publish/\(url)\(Echo.path)" -H "Authorization: Bearer \(DevelopmentCredentials.token)" -H "Upstash-Callback: \(url)\(Echo.callbackPath)" -d "hello"

            These credentials are public. Keep this on your own machine.

            """
    }
}

/// The folder of the messages, held by one process at a time.
final class DataFolder: Sendable {
    let path: String
    private let lock: Int32

    init(_ given: String) throws {
        path = URL(fileURLWithPath: given).standardizedFileURL.path
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw CommandFailure(text: "--data: can't make \(path): \(error.localizedDescription)")
        }
        lock = open(path + "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard lock >= 0 else {
            throw CommandFailure(text: "--data: can't write in \(path): \(String(cString: strerror(errno)))")
        }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            throw CommandFailure(text: "--data: another roost dev uses \(path); stop it or name another folder")
        }
    }

    deinit { close(lock) }
}
