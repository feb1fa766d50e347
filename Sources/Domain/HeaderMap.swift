// Header names with their values, as messages keep them and JSON shows them (contract conventions.md §2).

/// One header line. A tuple, so that it goes to and from the HTTP libraries without conversion.
package typealias HeaderField = (name: String, value: String)

/// Canonical names in the order of their first appearance, each with its values in the order received.
///
/// Lookups scan while there are few names and use an index above that: a response may carry 75,000 distinct ones.
package struct HeaderMap: Sendable {
    package struct Entry: Hashable, Sendable {
        /// Canonical.
        package let name: String
        package fileprivate(set) var values: [String]
    }

    package private(set) var entries: [Entry] = []
    private var index: [String: Int] = [:]
    private static let scanLimit = 16

    package init() {}

    package init(_ fields: some Sequence<HeaderField>) {
        for field in fields { add(field.name, field.value) }
    }

    package var isEmpty: Bool { entries.isEmpty }

    /// All values of a name in any case, empty when there is none.
    package subscript(name: String) -> [String] {
        position(of: HeaderName.canonical(name)).map { entries[$0].values } ?? []
    }

    package func first(_ name: String) -> String? { self[name].first }

    package func contains(_ name: String) -> Bool { position(of: HeaderName.canonical(name)) != nil }

    package mutating func add(_ name: String, _ value: String) {
        let name = HeaderName.canonical(name)
        if let position = position(of: name) {
            entries[position].values.append(value)
        } else {
            append(Entry(name: name, values: [value]))
        }
    }

    /// Replaces all values of a name in place; an empty list removes the name.
    package mutating func set(_ name: String, _ values: [String]) {
        let name = HeaderName.canonical(name)
        if values.isEmpty {
            remove(name)
        } else if let position = position(of: name) {
            entries[position].values = values
        } else {
            append(Entry(name: name, values: values))
        }
    }

    package mutating func remove(_ name: String) {
        guard let position = position(of: HeaderName.canonical(name)) else { return }
        entries.remove(at: position)
        index = [:]
        if entries.count > Self.scanLimit { buildIndex() }
    }

    /// One field for each value, in order.
    package var fields: [HeaderField] {
        entries.flatMap { entry in entry.values.map { (name: entry.name, value: $0) } }
    }

    private mutating func append(_ entry: Entry) {
        entries.append(entry)
        if entries.count == Self.scanLimit + 1 {
            buildIndex()
        } else if entries.count > Self.scanLimit {
            index[entry.name] = entries.count - 1
        }
    }

    private mutating func buildIndex() {
        index = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
    }

    private func position(of canonical: String) -> Int? {
        entries.count > Self.scanLimit ? index[canonical] : entries.firstIndex { $0.name == canonical }
    }
}

extension HeaderMap: Hashable {
    package static func == (left: HeaderMap, right: HeaderMap) -> Bool { left.entries == right.entries }

    package func hash(into hasher: inout Hasher) { hasher.combine(entries) }
}

extension HeaderMap: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { add(name, value) }
    }
}
