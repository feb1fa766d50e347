import Domain
import Testing

/// What may not be delivered to, in every spelling, and what may. Addresses that only resolution shows are judged by the
/// same policy, by their bytes, before each connect.
@Suite struct AddressCorpusTests {
    private static let loopback = """
        localhost LOCALHOST localhost. a.localhost x.y.localhost 127.0.0.1 127.0.0.1. 127.1 127.0.1 127.255.255.254 2130706433
        0x7f000001 0x7F.1 0x7f.0.0.1 0177.1 0177.0.0.1 0177.0.0.01 017700000001 127.0.0x1 0x7f.0x0.0x0.0x1 127.16777215 127.255.65535
        [::1] [0:0:0:0:0:0:0:1] [0000::0001] [::0:1] [::127.0.0.1] [::ffff:127.0.0.1] [::FFFF:7F00:1] [0:0:0:0:0:ffff:127.0.0.1]
        [::ffff:0:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] [2002:7f00:0001::1]
        """
    private static let privateUse = """
        10.0.0.0 10.0.0.1 10.255.255.255 10.1 167772161 0xa.1 012.0.0.1 0x0a000001 172.16.0.1 172.31.255.255 172.20.1 192.168.0.1
        192.168.255.255 192.168.257 3232235777 0xc0a80101 0300.0250.0.1 100.64.0.1 100.127.255.255 100.100.1
        [fc00::1] [fd00::] [fdff:ffff::1] [FD12:3456::1] [fec0::1] [feff::1] [::ffff:10.0.0.1] [::10.0.0.1] [64:ff9b::10.0.0.1]
        [2002:0a00:0001::] [2002:c0a8:101::1] [::ffff:192.168.1.1] [::ffff:ac10:1] [64:ff9b::c0a8:101]
        """
    private static let linkLocal = """
        169.254.0.1 169.254.255.255 169.254.1 0xa9fe0101 [fe80::1] [fe80::] [febf:ffff::1] [FE80::ABCD:1] [::ffff:169.254.1.1]
        [2002:a9fe:101::] [64:ff9b::169.254.9.9]
        """
    private static let metadata = """
        169.254.169.254 2852039166 0xa9fea9fe 0xa9.0xfe.0xa9.0xfe 0251.0376.0251.0376 169.254.43518 169.16689662 169.254.170.2 169.254.170.23 169.254.42.42
        100.100.100.200 168.63.129.16 192.0.0.192 [fd00:ec2::254] [fd00:ec2::23] [fd20:ce::254] [fd00:42::42] [::ffff:169.254.169.254]
        [::169.254.169.254] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::1]
        """
    private static let reserved = """
        0 0.0.0.0 0.0.0.1 00.0.0.0 0x0 0.1 255.255.255.255 4294967295 0xffffffff 240.0.0.1 250.1.2.3 224.0.0.1 239.255.255.255 192.0.0.1
        192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1
        [::] [0:0:0:0:0:0:0:0] [::2] [::ffff:0.0.0.0] [::ffff:224.0.0.1] [ff02::1] [ff00::] [ffff::1] [2001:db8::1] [2001::1] [2001:10::1]
        [2001:1ff::1] [3fff::1] [100::1] [4000::1] [8000::1] [1::1] [64:ff9c::1] [64:ff9b::e000:1] [2002:e000:1::]
        """
    private static let open = """
        example.com EXAMPLE.COM a-b.example 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1
        169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1 191.255.255.255 198.17.255.255 198.20.0.1
        198.51.99.255 198.51.101.1 203.0.112.255 203.0.114.1 223.255.255.255 16843009 0x01010101 1.1 192.0.1.1 192.0.3.1
        [2606:4700::1111] [2a00:1450:4001::200e] [2001:4860:4860::8888] [2001:200::1] [64:ff9b::1.1.1.1] [::ffff:8.8.8.8] [2002:808:808::1]
        localhost.example.com notlocalhost 127.0.0.1.example.com 127.0.0.1.nip.io 0x7f.1.example.com 256.1.example 1.2.3.4.5
        """

    private func hosts(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }

    private func refusal(_ host: String, _ policy: AddressPolicy = AddressPolicy()) -> String? {
        for scheme in ["http", "https"] {
            do throws(RequestError) {
                try policy.check(url: "\(scheme)://\(host):8080/x?y")
            } catch {
                return error.text
            }
        }
        return nil
    }

    @Test func closedInEverySpelling() {
        var seen = 0
        for (list, kinds) in [
            (Self.loopback, ["loopback"]), (Self.privateUse, ["private"]), (Self.linkLocal, ["link-local"]),
            (Self.metadata, ["link-local", "private", "reserved", "metadata"]), (Self.reserved, ["reserved"]),
        ] {
            for host in hosts(list) {
                seen += 1
                let text = refusal(host) ?? "it is open"
                let isNamed = kinds.contains {
                    text.hasPrefix("invalid destination url: endpoint resolves to a \($0) address: ")
                }
                #expect(isNamed, "\(host): \(text)")
            }
        }
        for host in hosts(Self.open) {
            seen += 1
            #expect(refusal(host) == nil, "\(host)")
        }
        #expect(seen >= 150, "\(seen)")
    }

    /// What opens private ranges leaves the services closed that hand out credentials, unless they are named one by one.
    @Test func metadataStaysClosed() {
        for host in hosts(Self.metadata) {
            #expect(refusal(host, AddressPolicy(allowsPrivate: true)) != nil, "\(host)")
            let ranges = ["0.0.0.0/0", "::/0"].compactMap { Network($0) }
            #expect(refusal(host, AddressPolicy(networks: ranges)) != nil, "\(host)")
        }
        for host in hosts(Self.loopback + " " + Self.privateUse) {
            #expect(refusal(host, AddressPolicy(allowsPrivate: true)) == nil, "\(host)")
        }
        let named = AddressPolicy(networks: [Network("169.254.169.254")].compactMap { $0 })
        #expect(refusal("169.254.169.254", named) == nil && refusal("0xa9fea9fe", named) == nil)
        #expect(refusal("169.254.170.2", named) != nil)
    }

    /// Spellings that a URL reader and a resolver could take for different hosts are no URLs at all.
    @Test func whatTwoReadersCouldReadDifferentlyIsRefused() {
        for url in [
            "http://user@127.0.0.1/", "http://127.0.0.1@example.com/", "http://example.com:80@127.0.0.1/",
            "http://[::1/", "http://::1/",
            "http://[fe80::1%25eth0]/", "http://[::1]x/", "http://[127.0.0.1]/", "http://127.0.0.1%00.example.com/",
            "http://exa mple.com/",
            "http://%31%32%37.0.0.1/", "http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://127.0.0.1:8a/",
            "http:///x", "http://",
            "ftp://example.com/", "file:///etc/passwd", "gopher://127.0.0.1/", "http://example.com\\@127.0.0.1/",
            "http://exa\tmple.com/", "https://ex%C3%A4mple.com/", "http://127%E3%80%820.0.1/", "http://①②⑦.0.0.1/",
        ] {
            #expect(throws: RequestError.self, "\(url)") {
                let url = try DestinationParser.parse(plain: url)
                if case .url(let text) = url { try AddressPolicy().check(url: text) }
                if case .topic = url { throw RequestError.noScheme }
            }
        }
    }
}
