/// The values of settings as people write them.

import Domain

enum SettingText {
    static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { ASCII.trimmed(String($0)) }.filter { !$0.isEmpty }
    }

    static func boolean(_ text: String) throws(InvalidSetting) -> Bool {
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw InvalidSetting("must be true or false")
        }
    }

    static func integer(_ text: String, _ range: ClosedRange<Int>) throws(InvalidSetting) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw InvalidSetting("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    static func choice<Value: RawRepresentable & CaseIterable>(
        _ text: String, of type: Value.Type
    ) throws(InvalidSetting) -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: text.lowercased()) else {
            throw InvalidSetting("must be one of " + Value.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return value
    }

    /// One line without blanks around it: what a header can carry.
    static func secret(_ text: String) throws(InvalidSetting) -> String {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw InvalidSetting("must be one word of visible ASCII characters")
        }
        return text
    }

    static func networks(_ text: String) throws(InvalidSetting) -> [Network] {
        var networks: [Network] = []
        for part in list(text) {
            guard let network = Network(part) else {
                throw InvalidSetting("\"\(part)\" is no address range such as 10.0.0.0/8 or fd00::/8")
            }
            networks.append(network)
        }
        return networks
    }

    /// `host:port`, `[::1]:port`, `:port` (all addresses), `port`.
    static func hostAndPort(_ text: String) throws(InvalidSetting) -> (host: String, port: Int) {
        var host = Substring("127.0.0.1")
        var port = Substring(text)
        if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            if host.isEmpty { host = "0.0.0.0" }
            if host.hasPrefix("["), host.hasSuffix("]") {
                host = host.dropFirst().dropLast()
            } else if host.contains(":") {
                throw InvalidSetting("an IPv6 address needs brackets: [::1]:8080")
            }
        }
        guard let number = Int(port), (0...65_535).contains(number) else {
            throw InvalidSetting("must be host:port with a port from 0 to 65535")
        }
        return (String(host), number)
    }

    /// `1048576`, `512KiB`, `1MiB`, `2GiB`, and with KB, MB, GB the powers of 1000.
    static func bytes(_ text: String) throws(InvalidSetting) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = ASCII.trimmed(String(text.dropFirst(digits.count))).lowercased()
        let units = [
            "": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "kb": 1000, "m": 1 << 20, "mib": 1 << 20, "mb": 1_000_000,
            "g": 1 << 30, "gib": 1 << 30, "gb": 1_000_000_000,
        ]
        guard let count = Int(digits), let factor = units[unit] else {
            throw InvalidSetting("must be bytes, such as 1048576 or 1MiB")
        }
        let (value, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow, (1...(1 << 40)).contains(value) else { throw InvalidSetting("must lie between 1 and 1 TiB") }
        return value
    }

    /// `10s`, `1h30m`, `500ms`, or seconds.
    static func duration(_ text: String, _ range: ClosedRange<Duration>) throws(InvalidSetting) -> Duration {
        let compact = text.filter { $0 != " " }
        let value: Duration
        if compact.hasSuffix("ms"), let count = Int64(compact.dropLast(2)), count >= 0, count < 1 << 50 {
            value = .milliseconds(count)
        } else if let seconds = DurationText.parse(compact), seconds < 1 << 50 {
            value = .seconds(seconds)
        } else {
            throw InvalidSetting("must be a duration such as 500ms, 10s or 1h30m")
        }
        guard range.contains(value) else {
            throw InvalidSetting("must lie between \(range.lowerBound) and \(range.upperBound)")
        }
        return value
    }

    static func seconds(_ text: String) throws(InvalidSetting) -> Int64 {
        try duration(text, .seconds(1)...(.seconds(100 * 365 * 86_400))).components.seconds
    }
}
