/// The contract's examples, as the tests read them: `Tests/Contract` is a copy of the published folder.

import Foundation

package enum Contract {
    /// The top of the checkout.
    package static let top = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private static let folder = top.appendingPathComponent("Tests/Contract")

    /// The bytes of one example, without the newline at its end.
    package static func bytes(_ name: String) throws -> [UInt8] {
        var bytes = Array(try Data(contentsOf: folder.appendingPathComponent(name + ".json")))
        while bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes
    }

    /// One table of `cases.json`.
    package static func cases<Case: Decodable>(_ table: String, as type: Case.Type) throws -> [Case] {
        let all = try JSONSerialization.jsonObject(with: Data(try bytes("cases"))) as? [String: Any] ?? [:]
        let data = try JSONSerialization.data(withJSONObject: all[table] ?? [])
        return try JSONDecoder().decode([Case].self, from: data)
    }

    /// JSON as a value that ignores the order of members: what two bodies are compared as.
    package static func value(_ bytes: [UInt8]) throws -> NSObject {
        let value = try JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
        return value as? NSObject ?? NSNull()
    }
}
