/// A configuration file, YAML or JSON (JSON is YAML), for the library's FileProvider.

import Configuration
import Foundation
import Yams

/// In place of the library's own snapshots of YAML and JSON, which leave a name they are not asked for unseen, take no list
/// of mappings (`ROOST_TOKENS`) and stop at the first fault: here every name is held against the table, a value is text
/// whatever the file calls it, and all that is wrong is told at once.
struct SettingFile: FileConfigSnapshot {
    struct ParsingOptions: FileParsingOptions {
        static let `default` = ParsingOptions()
    }

    let providerName: String
    /// Each without the path of the file.
    let problems: [Problem]
    private let values: [String: String]

    enum Problem: Sendable {
        /// Not UTF-8.
        case unreadable
        case wrong(String)
    }

    init(data: RawSpan, providerName: String, parsingOptions: ParsingOptions) {
        self.providerName = providerName
        var values: [String: String] = [:]
        do throws(Problems) {
            problems = try Self.parse(data, into: &values).map { .wrong($0) }
        } catch {
            problems = [error.only]
        }
        self.values = values
    }

    /// Settings are read as text and given their type by the table.
    func value(forKey key: AbsoluteConfigKey, type: ConfigType) -> LookupResult {
        let name = key.components.joined(separator: ".")
        let text = type == .string ? values[name] : nil
        let isSecret = Setting.named(name)?.isSecret ?? true
        return LookupResult(encodedKey: name, value: text.map { ConfigValue(.string($0), isSecret: isSecret) })
    }

    var description: String { "\(providerName)[\(values.count) values]" }
    var debugDescription: String { description }

    private struct Problems: Error { let only: Problem }

    private static func parse(_ data: RawSpan, into values: inout [String: String]) throws(Problems) -> [String] {
        guard let text = data.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
            throw Problems(only: .unreadable)
        }
        let loaded: Any?
        do {
            loaded = try Yams.load(yaml: text)
        } catch {
            let reason = "\(error)".split(separator: "\n").first ?? ""
            throw Problems(only: .wrong("neither YAML nor JSON: \(reason)"))
        }
        guard let loaded else { return [] }
        guard let members = loaded as? [String: Any] else {
            throw Problems(only: .wrong("must be a mapping of setting names to values"))
        }
        var problems: [String] = []
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            if Setting.named(name) == nil {
                problems.append("\(name): there is no such setting\(SettingNames.suggestion(name))")
            } else if let text = Self.text(value) {
                values[name] = text
            } else {
                problems.append("\(name): must be one value or a list")
            }
        }
        return problems
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
