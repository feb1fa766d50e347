/// Which names may stand in the environment, and what an unknown one was meant to be.

enum SettingNames {
    /// The variables that begin with `ROOST_` and that nothing reads.
    static func unknown(in environment: [String: String]) -> [String] {
        environment.keys.filter { $0.hasPrefix("ROOST_") && !isKnown($0, environment) }.sorted()
    }

    private static func isKnown(_ name: String, _ environment: [String: String]) -> Bool {
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
    static func suggestion(_ name: String) -> String {
        let near = Setting.all.map { ($0.name, distance(Array($0.name.utf8), Array(name.utf8))) }.min { $0.1 < $1.1 }
        // Of a short name little may be wrong, or any other would do.
        guard let near, near.1 <= min(3, max(1, (name.utf8.count - "ROOST_".utf8.count) / 3)) else { return "" }
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
}
