// The tables behind AddressPolicy: special-purpose ranges of IANA, addresses inside addresses, and the metadata
// services of clouds, which hand out credentials to whoever can send them a request.

enum AddressRanges {
    static func kind(of address: IPAddress) -> AddressPolicy.Kind? {
        if let range = table.first(where: { $0.network.contains(address) }) { return range.kind }
        // Everything outside 2000::/3 is not assigned.
        return address.isIPv4 || address.bytes[0] & 0xE0 == 0x20 ? nil : .reserved
    }

    static func isMetadata(_ address: IPAddress) -> Bool { metadata.contains(address) }

    private static let table: [(network: Network, kind: AddressPolicy.Kind)] = ranges.compactMap { text, kind in
        Network(text).map { ($0, kind) }
    }

    private static let ranges: [(String, AddressPolicy.Kind)] = [
        ("127.0.0.0/8", .loopback), ("10.0.0.0/8", .privateUse), ("172.16.0.0/12", .privateUse),
        ("192.168.0.0/16", .privateUse), ("100.64.0.0/10", .privateUse), ("169.254.0.0/16", .linkLocal),
        ("0.0.0.0/8", .reserved), ("192.0.0.0/24", .reserved), ("192.0.2.0/24", .reserved),
        ("192.88.99.0/24", .reserved), ("198.18.0.0/15", .reserved), ("198.51.100.0/24", .reserved),
        ("203.0.113.0/24", .reserved), ("224.0.0.0/4", .reserved), ("240.0.0.0/4", .reserved),
        ("::1/128", .loopback), ("fc00::/7", .privateUse), ("fec0::/10", .privateUse), ("fe80::/10", .linkLocal),
        ("2001::/23", .reserved), ("2001:db8::/32", .reserved), ("3fff::/20", .reserved), ("2002::/16", .reserved),
    ]

    private static let metadata = Set(
        [
            "169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "100.100.100.200",
            "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42",
        ].compactMap { IPAddress($0) })

    fileprivate static let wrappers: [(network: Network, offset: Int)] = [
        ("::ffff:0:0/96", 12), ("::ffff:0:0:0/96", 12), ("64:ff9b::/96", 12), ("2002::/16", 2), ("::/96", 12),
    ].compactMap { text, offset in Network(text).map { ($0, offset) } }
}

extension IPAddress {
    /// The IPv4 address that an IPv6 one stands for: mapped, compatible, translated, NAT64, 6to4. `::` and `::1` are
    /// themselves.
    package var embeddedIPv4: IPAddress? {
        guard !isIPv4, let wrapper = AddressRanges.wrappers.first(where: { $0.network.contains(self) }) else {
            return nil
        }
        let isOwn = bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] <= 1
        return isOwn ? nil : IPAddress(bytes: bytes[wrapper.offset..<(wrapper.offset + 4)])
    }
}
