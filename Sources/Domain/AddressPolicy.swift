// Which addresses may be delivered to. Literal hosts are judged at publish, resolved addresses again before each
// connect (contract publish.md §2); this file does both and never resolves anything.

package struct AddressPolicy: Sendable {
    package enum Kind: String, Sendable, Hashable {
        case loopback
        case privateUse = "private"
        case linkLocal = "link-local"
        case reserved
        case metadata
    }

    /// An address that may not be used.
    package struct Refusal: Sendable, Hashable, CustomStringConvertible {
        package let kind: Kind
        /// As text, in its plainest spelling.
        package let address: String

        /// `endpoint resolves to a loopback address: ::1`
        package var description: String { "endpoint resolves to a \(kind.rawValue) address: \(address)" }

        /// The same, and what opens it: for whoever runs the server. At publish the contract fixes the text.
        package var advice: String {
            kind == .metadata
                ? "\(description) (opened only by its own name in ROOST_ALLOW_NETWORKS or ROOST_ALLOW_HOSTS)"
                : "\(description) (ROOST_ALLOW_NETWORKS or ROOST_ALLOW_HOSTS opens it)"
        }
    }

    /// Opens everything but the metadata addresses.
    package var allowsPrivate: Bool
    private let networks: [Network]
    private let hosts: Set<String>

    /// - `networks`: ranges that may be delivered to although private.
    /// - `hosts`: names (or literal addresses) that may be delivered to whatever they resolve to.
    package init(allowsPrivate: Bool = false, networks: [Network] = [], hosts: [String] = []) {
        self.allowsPrivate = allowsPrivate
        self.networks = networks
        self.hosts = Set(hosts.map(Self.plain))
    }

    /// nil = allowed.
    ///
    /// - `host`: the name from the URL that led to the address.
    package func refusal(of address: IPAddress, host: String? = nil) -> Refusal? {
        if let host, !hosts.isEmpty, hosts.contains(Self.plain(host)) { return nil }
        let inner = address.embeddedIPv4
        if !hosts.isEmpty, hosts.contains(address.description) { return nil }
        // An address stands for itself and for the one inside it.
        func either(_ condition: (IPAddress) -> Bool) -> Bool { condition(address) || (inner.map(condition) ?? false) }
        let isMetadata = either(AddressRanges.isMetadata)
        if !isMetadata, allowsPrivate { return nil }
        let isNamed = networks.contains { network in
            either(network.contains) && (!isMetadata || network.isSingle)
        }
        if isNamed { return nil }
        let isInOpenRange = networks.contains { network in either(network.contains) }
        let kind = AddressRanges.kind(of: inner ?? address)
        if isMetadata {
            // Where the whole range is open, its own name would not explain the refusal.
            let isOpen = allowsPrivate || isInOpenRange
            return Refusal(kind: isOpen ? .metadata : kind ?? .metadata, address: (inner ?? address).description)
        }
        guard let kind else { return nil }
        return Refusal(kind: kind, address: (inner ?? address).description)
    }

    /// Raw bytes as a socket address carries them; anything but 4 or 16 of them is refused.
    package func refusal(ofBytes bytes: some Collection<UInt8>, host: String? = nil) -> Refusal? {
        guard let address = IPAddress(bytes: bytes) else { return Refusal(kind: .reserved, address: "unknown") }
        return refusal(of: address, host: host)
    }

    /// Judges the host of a URL without resolving it: literal addresses in every spelling, and `localhost`.
    package func refusal(ofLiteral authority: URLAuthority) -> Refusal? {
        let host = Self.plain(authority.host)
        if hosts.contains(host) { return nil }
        if host == "localhost" || host.hasSuffix(".localhost") {
            let addresses = [[UInt8](repeating: 0, count: 15) + [1], [127, 0, 0, 1]]
            return addresses.lazy.compactMap { refusal(ofBytes: $0, host: host) }.first
        }
        let address = authority.isIPv6 ? IPAddress(ipv6: host) : IPAddress(shorthandIPv4: host)
        return address.flatMap { refusal(of: $0, host: host) }
    }

    /// Throws the contract's text for a URL whose literal host is closed.
    package func check(url: String) throws(RequestError) {
        guard let authority = URLAuthority(ofURL: url), let refusal = refusal(ofLiteral: authority) else { return }
        // The contract fixes the text; what opens the address stands beside it.
        throw RequestError(
            status: 400, text: RequestError.destination(refusal.description).text,
            headers: [("Roost-Hint", refusal.advice)])
    }

    /// Lower case, without brackets and the dot of the root.
    private static func plain(_ host: String) -> String {
        var host = ASCII.lowercased(host)
        if host.utf8.first == UInt8(ascii: "["), host.utf8.last == UInt8(ascii: "]") {
            host = String(host.dropFirst().dropLast())
        }
        if host.utf8.last == UInt8(ascii: ".") { host.removeLast() }
        return host
    }
}
