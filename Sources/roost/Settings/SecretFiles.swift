/// Secrets from files that the environment names.

import Configuration
import Foundation

/// Reads `NAME` from the file that `NAME_FILE` names, for secrets only. A provider of our own, since the library's
/// DirectoryFilesProvider wants all secrets in one folder under the names of their keys. A secret that can't be read is an error and not an
/// absent one: a server must not start without it.
struct SecretFiles: ConfigProvider, ConfigSnapshot {
    /// Without the variables that are empty.
    let environment: [String: String]

    var providerName: String { "SecretFiles" }

    func value(forKey key: AbsoluteConfigKey, type: ConfigType) throws -> LookupResult {
        let name = key.components.joined(separator: ".")
        return LookupResult(
            encodedKey: name + "_FILE",
            value: type == .string ? try text(of: name).map { ConfigValue(.string($0), isSecret: true) } : nil)
    }

    private func text(of name: String) throws(InvalidSetting) -> String? {
        guard Setting.named(name)?.isSecret == true, let path = environment[name + "_FILE"] else { return nil }
        if environment[name] != nil { throw InvalidSetting("\(name) and \(name)_FILE are both set: use one") }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw InvalidSetting("\(name)_FILE: can't read \(path)")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func fetchValue(forKey key: AbsoluteConfigKey, type: ConfigType) async throws -> LookupResult {
        try value(forKey: key, type: type)
    }

    func watchValue<Return: ~Copyable>(
        forKey key: AbsoluteConfigKey, type: ConfigType,
        updatesHandler:
            nonisolated(nonsending) (ConfigUpdatesAsyncSequence<Result<LookupResult, any Error>, Never>) async throws ->
            Return
    ) async throws -> Return {
        try await watchValueFromValue(forKey: key, type: type, updatesHandler: updatesHandler)
    }

    func snapshot() -> any ConfigSnapshot { self }

    func watchSnapshot<Return: ~Copyable>(
        updatesHandler:
            nonisolated(nonsending) (ConfigUpdatesAsyncSequence<any ConfigSnapshot, Never>) async throws -> Return
    ) async throws -> Return {
        try await watchSnapshotFromSnapshot(updatesHandler: updatesHandler)
    }
}
