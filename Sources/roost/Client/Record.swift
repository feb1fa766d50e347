/// One object of the API for people: a line for each member, times and header maps made readable.

import Domain

struct Record {
    private static let times: Set<String> = [
        "createdAt", "updatedAt", "notBefore", "time", "nextDeliveryTime", "lastScheduleTime", "nextScheduleTime",
    ]
    private static let seconds: Set<String> = ["delay", "period", "ratePeriod", "timeout"]
    /// Said by another member already.
    private static let doubles: Set<String> = ["callerIp", "label"]

    let value: JSONValue
    var clock = TimeText()

    /// A label and a text each; a member with several parts has a row for each, the label on the first.
    var rows: [(label: String, text: String)] {
        var rows: [(label: String, text: String)] = []
        for member in value.object?.members ?? [] where !Self.doubles.contains(member.key) {
            let parts = Self.texts(member.key, member.value, clock)
            for (index, part) in parts.enumerated() { rows.append((index == 0 ? member.key : "", part)) }
        }
        return rows
    }

    func print(on out: Terminal) throws(CommandFailure) {
        let rows = rows
        let width = rows.map { SafeText.width($0.label) }.max() ?? 0
        for row in rows {
            let gap = String(repeating: " ", count: width - SafeText.width(row.label))
            try out.say("\(row.label)\(gap)  \(row.text)")
        }
    }

    private static func texts(_ key: String, _ value: JSONValue, _ clock: TimeText) -> [String] {
        switch value {
        case .int(let number):
            if times.contains(key) { return [clock.full(Timestamp(milliseconds: number))] }
            if key == "ratePeriodStart" {
                return [number == 0 ? "never" : clock.full(Timestamp(seconds: number))]
            }
            return [seconds.contains(key) ? "\(number)s" : "\(number)"]
        case .bool(let flag): return [flag ? "yes" : "no"]
        case .string(let text):
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            return key == "body" || key == "responseBody" ? lines : [text]
        case .array(let elements):
            let texts = elements.compactMap(\.string)
            if texts.count == elements.count { return [texts.joined(separator: ", ")] }
            return elements.map { element in
                ["name", "url"].compactMap { element[$0]?.string }.joined(separator: "  ")
            }
        case .object(let object):
            return object.members.map { member in
                let values = member.value.array?.compactMap(\.string).joined(separator: ", ")
                return "\(member.key): \(values ?? member.value.string ?? "")"
            }
        case .null: return []
        case .double(let number): return ["\(number)"]
        }
    }
}
