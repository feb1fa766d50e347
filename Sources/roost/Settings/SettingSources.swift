/// Where settings come from: the environment, a file, flags, in rising order of precedence.

import Configuration
import Foundation

/// All that is wrong, so that one run is enough to mend it.
struct SettingProblems: Error {
    let lines: [String]
}

/// Reads every setting of the table as text through the providers of swift-configuration; the table gives it its type. The
/// flags are those that ArgumentParser has read, so that a wrong one is told as everywhere else.
struct SettingSources {
    var environment: [String: String]
    /// Path of a YAML or JSON file (JSON is YAML).
    var file: String?
    /// From flags, names as in the environment.
    var flags: [String: String] = [:]

    init(
        environment: [String: String] = ProcessInfo.processInfo.environment, file: String? = nil,
        flags: [String: String] = [:]
    ) {
        (self.environment, self.file, self.flags) = (environment, file ?? environment["ROOST_CONFIG"], flags)
    }

    /// - Parameter check: further rules for the finished settings.
    func load(into defaults: Settings = Settings(), check: (Settings) -> [String] = { _ in [] })
        async throws(SettingProblems) -> Settings
    {
        var settings = defaults
        var problems: [String] = []
        var unread: [String] = []
        let reader = await reader(&problems)
        for name in SettingNames.unknown(in: environment) {
            problems.append("\(name): there is no such setting\(SettingNames.suggestion(name))")
        }
        for setting in Setting.all {
            let text: String?
            do {
                text = try await reader.fetchString(forKey: ConfigKey([setting.name]), isSecret: setting.isSecret)
            } catch {
                unread.append(setting.name)
                problems.append((error as? InvalidSetting)?.text ?? "\(setting.name): \(error)")
                continue
            }
            guard let text else { continue }
            do {
                try setting.apply(text, &settings)
            } catch let error as InvalidSetting {
                unread.append(setting.name)
                problems.append(
                    "\(setting.name): \(error.text)" + (setting.isSecret ? "" : " (it is \"\(text.prefix(100))\")"))
            } catch {
                problems.append("\(setting.name): \(error)")
            }
        }
        // Of a setting that could not be read nothing else is known.
        problems += (settings.contradictions() + check(settings)).filter { line in
            !unread.contains { line.split(whereSeparator: { !$0.isLetter && $0 != "_" }).contains(Substring($0)) }
        }
        guard problems.isEmpty else { throw SettingProblems(lines: problems) }
        return settings
    }

    private func reader(_ problems: inout [String]) async -> ConfigReader {
        let given = flags.map { name, text in
            let isSecret = Setting.named(name)?.isSecret ?? true
            return (AbsoluteConfigKey([name]), ConfigValue(.string(text), isSecret: isSecret))
        }
        var providers: [any ConfigProvider] = [
            InMemoryProvider(name: "flags", values: Dictionary(uniqueKeysWithValues: given))
        ]
        if let file = await readFile(&problems) { providers.append(file) }
        // An empty variable is one that is not set, as in most shells' scripts; an empty region is none.
        let variables = environment.filter { !$0.value.isEmpty || $0.key == "ROOST_REGION" }
        let secrets = Set(Setting.all.filter(\.isSecret).map(\.name))
        providers.append(SecretFiles(environment: variables))
        providers.append(
            EnvironmentVariablesProvider(environmentVariables: variables, secretsSpecifier: .specific(secrets)))
        return ConfigReader(providers: providers)
    }

    private func readFile(_ problems: inout [String]) async -> FileProvider<SettingFile>? {
        guard let path = file, !path.isEmpty else { return nil }
        let place = InMemoryProvider(values: ["filePath": ConfigValue(.string(path), isSecret: false)])
        guard let provider = try? await FileProvider<SettingFile>(config: ConfigReader(provider: place)) else {
            problems.append("can't read the configuration file \(path)")
            return nil
        }
        for problem in (provider.snapshot() as? SettingFile)?.problems ?? [] {
            switch problem {
            case .unreadable: problems.append("can't read the configuration file \(path)")
            case .wrong(let text): problems.append("\(path): \(text)")
            }
        }
        return provider
    }
}
