// Which headers travel to the destination (contract publish.md §5).

extension OptionReader {
    /// The `Upstash-Forward-*` headers with the prefix stripped. For each name the strongest level counts, with all its
    /// values.
    func forwarded() throws(RequestError) -> HeaderMap {
        var map: HeaderMap = [:]
        var levels: [String: PublishOption.Level] = [:]
        let isMixed = options.forward.contains { $0.level != options.forward[0].level }
        for option in options.forward {
            guard HeaderName.isToken(String(option.name)) else { throw option.error("not a header name") }
            guard HeaderName.isValidValue(option.value) else { throw option.error(HeaderName.valueRule) }
            let name = HeaderName.canonical(String(option.name))
            if HeaderName.isNeverForwarded(canonical: name) || HeaderName.isOwn(canonical: name) { continue }
            if isMixed {
                if levels[name, default: option.level] != option.level { continue }
                levels[name] = option.level
            }
            map.add(name, option.value)
        }
        return map
    }
}

/// The header map of a message: content type first, then what is forwarded.
struct HeaderSource {
    let headers: [HeaderField]
    let topicDefaults: HeaderMap?
    let reader: OptionReader

    func header(isAuthenticatedByQuery: Bool) throws(RequestError) -> HeaderMap {
        var forwarded = try reader.forwarded()
        let forwardedType = forwarded["Content-Type"]
        forwarded.remove("Content-Type")
        var map: HeaderMap = [:]
        if let type = headers.first(where: { isContentType($0.name) && !ASCII.trimmed($0.value).isEmpty })?.value {
            try check("Content-Type", type)
            map.add("Content-Type", ASCII.trimmed(type))
        } else if let type = forwardedType.first {
            map.add("Content-Type", type)
        } else if let type = topicDefaults?.first("Content-Type") {
            try check("Content-Type", type)
            map.add("Content-Type", type)
        }
        for entry in forwarded.entries { map.set(entry.name, entry.values) }
        if try reader.flag(.headerForward) {
            try addRequestHeaders(to: &map, isAuthenticatedByQuery: isAuthenticatedByQuery)
        }
        return map
    }

    /// `Upstash-Header-Forward: true`. A header forwarded by name is what its publisher wants to arrive: it stands
    /// instead of the request's own.
    func addRequestHeaders(to map: inout HeaderMap, isAuthenticatedByQuery: Bool) throws(RequestError) {
        let explicit = Set(map.entries.map(\.name))
        for field in headers {
            let name = HeaderName.canonical(field.name)
            let isOurs = name.hasPrefix("Upstash-") || (name == "Authorization" && !isAuthenticatedByQuery)
            if isOurs || HeaderName.isNeverForwarded(canonical: name) || explicit.contains(name) { continue }
            guard HeaderName.isToken(field.name) else { throw .header(name, "not a header name") }
            try check(name, field.value)
            map.add(name, ASCII.trimmed(field.value))
        }
    }

    private func check(_ name: String, _ value: String) throws(RequestError) {
        if !HeaderName.isValidValue(ASCII.trimmed(value)) { throw .header(name, HeaderName.valueRule) }
    }

    private func isContentType(_ name: String) -> Bool { ASCII.equalIgnoringCase(name, "content-type") }
}
