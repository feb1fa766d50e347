/// Where settings come from: the environment, a file, flags, in rising order of precedence.

import Foundation
import Yams

/// All that is wrong, so that one run is enough to mend it.
struct SettingProblems: Error {
    let lines: [String]
}

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
    func load(into defaults: Settings = Settings(), check: (Settings) -> [String] = { _ in [] }) throws(SettingProblems)
        -> Settings
    {
        var settings = defaults
        var problems: [String] = []
        let file = readFile(&problems)
        for name in environment.keys.sorted() where name.hasPrefix("ROOST_") && !isKnown(name) {
            problems.append("\(name): there is no such setting\(Self.suggestion(name))")
        }
        for setting in Setting.all {
            guard let text = flags[setting.name] ?? file[setting.name] ?? fromEnvironment(setting, &problems) else {
                continue
            }
            do {
                try setting.apply(text, &settings)
            } catch let error as InvalidSetting {
                problems.append(
                    "\(setting.name): \(error.text)" + (setting.isSecret ? "" : " (it is \"\(text.prefix(100))\")"))
            } catch {
                problems.append("\(setting.name): \(error)")
            }
        }
        if problems.isEmpty { problems = settings.contradictions() + check(settings) }
        guard problems.isEmpty else { throw SettingProblems(lines: problems) }
        return settings
    }

    private func isKnown(_ name: String) -> Bool {
        // What an orchestrator sets for a service of that name, or of one that begins with it.
        if name == "ROOST_PORT" || name.hasPrefix("ROOST_PORT_") || name.hasPrefix("ROOST_SERVICE_") { return true }
        for (key, _) in environment where key.hasPrefix("ROOST_") && key.hasSuffix("_SERVICE_HOST") {
            let service = key.dropLast("_SERVICE_HOST".count)
            if name == "\(service)_PORT" || name.hasPrefix("\(service)_PORT_") || name.hasPrefix("\(service)_SERVICE_")
            {
                return true
            }
        }
        // What the client reads.
        if name == "ROOST_IMPORT_TOKEN" || name == "ROOST_IMPORT_TOKEN_FILE" { return true }
        if name == "ROOST_CONFIG" || Setting.named(name) != nil { return true }
        return name.hasSuffix("_FILE") && Setting.named(String(name.dropLast(5)))?.isSecret == true
    }

    /// The nearest known name where it is near enough to be what was meant.
    private static func suggestion(_ name: String) -> String {
        let near = Setting.all.map { ($0.name, distance(Array($0.name.utf8), Array(name.utf8))) }.min { $0.1 < $1.1 }
        guard let near, near.1 <= 3 else { return "" }
        return ", did you mean \(near.0)?"
    }

    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let cost = min(row[j] + 1, row[j + 1] + 1, diagonal + (a[i] == b[j] ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[b.count]
    }

    /// An empty variable is one that is not set, as in most shells' scripts.
    private func fromEnvironment(_ setting: Setting, _ problems: inout [String]) -> String? {
        let value = environment[setting.name].flatMap { $0.isEmpty && setting.name != "ROOST_REGION" ? nil : $0 }
        guard setting.isSecret, let path = environment[setting.name + "_FILE"], !path.isEmpty else { return value }
        if value != nil {
            problems.append("\(setting.name) and \(setting.name)_FILE are both set: use one")
            return nil
        }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            problems.append("\(setting.name)_FILE: can't read \(path)")
            return nil
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func readFile(_ problems: inout [String]) -> [String: String] {
        guard let path = file, !path.isEmpty else { return [:] }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            problems.append("can't read the configuration file \(path)")
            return [:]
        }
        let loaded: Any?
        do {
            loaded = try Yams.load(yaml: text)
        } catch {
            problems.append("\(path): neither YAML nor JSON: \("\(error)".split(separator: "\n").first ?? "")")
            return [:]
        }
        guard let loaded else { return [:] }
        guard let members = loaded as? [String: Any] else {
            problems.append("\(path): must be a mapping of setting names to values")
            return [:]
        }
        var values: [String: String] = [:]
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            if Setting.named(name) == nil {
                problems.append("\(path): \(name): there is no such setting\(Self.suggestion(name))")
            } else if let text = Self.text(value) {
                values[name] = text
            } else {
                problems.append("\(path): \(name): must be one value or a list")
            }
        }
        return values
    }

    /// Lists of plain values are joined by commas; a list of mappings (tokens) becomes JSON.
    private static func text(_ value: Any) -> String? {
        switch value {
        case let text as String: return text
        case let flag as Bool: return flag ? "true" : "false"
        case let number as Int: return String(number)
        case let number as Double: return String(number)
        case let list as [Any] where list.allSatisfy({ $0 is [String: Any] }):
            return (try? JSONSerialization.data(withJSONObject: list)).map { String(decoding: $0, as: UTF8.self) }
        case let list as [Any]:
            let parts = list.compactMap(text)
            return parts.count == list.count ? parts.joined(separator: ",") : nil
        default: return nil
        }
    }
}
