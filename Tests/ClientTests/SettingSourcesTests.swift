/// Which source of a setting wins, and that a secret's file counts as the environment.

import Foundation
import Testing

@testable import roost

struct SettingSourcesTests {
    @Test func flagsWinOverTheFileAndTheFileOverTheEnvironment() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("roost-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("roost.yaml").path
        try "ROOST_LOG_LEVEL: error\nROOST_PROXY: http://file:1\n".write(
            toFile: file, atomically: true, encoding: .utf8)
        let token = folder.appendingPathComponent("token").path
        try "a-token-from-a-file\n".write(toFile: token, atomically: true, encoding: .utf8)

        let environment = [
            "ROOST_LOG_LEVEL": "debug", "ROOST_PROXY": "http://environment:1", "ROOST_LOG_FORMAT": "json",
            "QSTASH_TOKEN": "", "QSTASH_TOKEN_FILE": token,
        ]
        let sources = SettingSources(environment: environment, file: file, flags: ["ROOST_LOG_LEVEL": "trace"])
        let settings = try await sources.load()
        #expect("\(settings.logLevel)" == "trace")
        #expect(settings.proxy == "http://file:1")
        #expect(settings.logFormat == .json)
        #expect(settings.token == "a-token-from-a-file")
    }
}
