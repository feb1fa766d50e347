/// `roost serve`: production.

import ArgumentParser

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the server against your Redis.",
        discussion: """
            Needs ROOST_REDIS_URL and QSTASH_TOKEN; --settings lists all settings.

            EXAMPLES
              export ROOST_REDIS_URL=redis://127.0.0.1:6379
              export QSTASH_TOKEN_FILE=/run/secrets/token
              roost serve
              roost serve --config /etc/roost.yaml --listen 0.0.0.0:8080
            """,
        version: Roost.version)

    @OptionGroup var options: ServerOptions

    @Option(
        name: .customLong("redis-url"), help: "ROOST_REDIS_URL; without a password, which belongs in the environment.")
    var redisURL: String?

    func run() async throws {
        if options.listsSettings { return print(ServerOptions.settingsTable()) }
        Resources.hideMemory()
        var sources = options.sources()
        try RedisURLOption.check(redisURL)
        if let redisURL { sources.flags["ROOST_REDIS_URL"] = redisURL }
        var settings = try await sources.load { $0.productionProblems() }
        if let port = options.port { settings.port = port }
        guard let url = settings.redisURL else { return }
        let server = Server(settings: settings, redisURL: url, logger: StandardErrorLog.makeLogger(settings))
        try await server.run(stop: StopSignals())
    }
}
