/// The flags that `serve` and `dev` share.

import ArgumentParser

struct ServerOptions: ParsableArguments {
    @Option(help: "YAML or JSON file with settings (also ROOST_CONFIG).")
    var config: String?

    @Option(help: "Address of the API, host:port (ROOST_LISTEN).")
    var listen: String?

    @Option(help: "Port of the API.")
    var port: Int?

    @Option(name: .customLong("log-level"), help: "ROOST_LOG_LEVEL")
    var logLevel: String?

    @Option(name: .customLong("log-format"), help: "ROOST_LOG_FORMAT")
    var logFormat: String?

    @Option(name: .customLong("set"), help: "Any setting: NAME=VALUE; may be repeated.")
    var pairs: [String] = []

    @Flag(name: .customLong("settings"), help: "List all settings with their meaning and exit.")
    var listsSettings = false

    func validate() throws {
        for pair in pairs where !pair.contains("=") { throw ValidationError("--set \(pair) must be NAME=VALUE") }
        for pair in pairs {
            let name = String(pair.prefix { $0 != "=" })
            guard let setting = Setting.named(name) else {
                throw ValidationError("--set \(name): there is no such setting")
            }
            if setting.isSecret {
                throw ValidationError("--set \(name): a secret on the command line is seen by all; use \(name)_FILE")
            }
        }
        if let port, !(0...65_535).contains(port) { throw ValidationError("--port must be 0 to 65535") }
    }

    func sources() -> SettingSources {
        var flags: [String: String] = [:]
        for pair in pairs {
            let name = String(pair.prefix { $0 != "=" })
            flags[name] = String(pair.dropFirst(name.count + 1))
        }
        if let listen { flags["ROOST_LISTEN"] = listen }
        if let logLevel { flags["ROOST_LOG_LEVEL"] = logLevel }
        if let logFormat { flags["ROOST_LOG_FORMAT"] = logFormat }
        return SettingSources(file: config, flags: flags)
    }

    /// The table of running.md, as text.
    static func settingsTable() -> String {
        let width = (Setting.all.map(\.name.count).max() ?? 0) + 2
        return Setting.all.map { setting in
            setting.name + String(repeating: " ", count: width - setting.name.count) + setting.help
                + (setting.isSecret ? " (also \(setting.name)_FILE)" : "")
        }.joined(separator: "\n")
    }
}
