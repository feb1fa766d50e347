/// What INFO tells, read once. CONFIG may be forbidden; INFO hardly ever is.

package struct RedisInfo: Sendable {
    private var fields: [String: String] = [:]

    /// - `sections`: of INFO; an unknown one is empty.
    package init(of redis: any RedisCommands, sections: [String]) async throws(RedisError) {
        for section in sections {
            let text = try await redis.send(RedisCommand("INFO", section)).string ?? ""
            for line in text.split(whereSeparator: \.isNewline) {
                guard let colon = line.firstIndex(of: ":") else { continue }
                fields[String(line[..<colon])] = String(line[line.index(after: colon)...])
            }
        }
    }

    package subscript(name: String) -> String? { fields[name] }

    package func integer(_ name: String) -> Int64 { fields[name].flatMap { Int64($0) } ?? 0 }

    /// The number before the first point; 0 where Redis does not tell.
    package var majorVersion: Int { Int((fields["redis_version"] ?? "").prefix { $0 != "." }) ?? 0 }
}
