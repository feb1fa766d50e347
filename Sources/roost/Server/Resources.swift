/// What a server takes from the machine: descriptors and trust roots.

import CProcess
import Foundation
import Logging

enum Resources {
    /// Thousands of connections need as many descriptors as may be had.
    static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max
        else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Connections of callers that leave descriptors for what is delivered at once and for everything else.
    static func connections(besides deliveries: Int, atMost most: Int) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return most }
        let descriptors = Int(clamping: limit.rlim_cur)
        return min(most, max(descriptors - deliveries - 200, descriptors / 2))
    }

    /// Secrets stand in this process's memory and environment: no core file, and no other process of the same user reads
    /// them below `/proc`. Root still does.
    static func hideMemory() {
        var none = rlimit()
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        _ = roost_hide_memory()
    }

    /// The PEM file curl is to trust: the one the environment names or curl's own (nil), with the further roots of
    /// `extra` behind it, in a file of memory that stays for the life of this process.
    static func trustRoots(extra: String?, environment: [String: String]) throws -> String? {
        let base =
            environment["CURL_CA_BUNDLE"].flatMap { $0.isEmpty ? nil : $0 }
            ?? environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        guard let extra else { return base }
        guard let added = try? Data(contentsOf: URL(fileURLWithPath: extra)) else {
            throw CommandFailure(text: "ROOST_CA_FILE: can't read \(extra)", status: 2)
        }
        guard String(decoding: added, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") else {
            throw CommandFailure(text: "ROOST_CA_FILE: \(extra) holds no PEM certificate", status: 2)
        }
        let system = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
        let roots = ([base].compactMap { $0 } + system).lazy.compactMap { FileManager.default.contents(atPath: $0) }
            .first
        // In memory: a file in a shared folder could be made by somebody else first.
        let file = roost_memory_file("roost-roots")
        guard file >= 0 else { throw CommandFailure(text: "can't make a file of trust roots") }
        Console.write([UInt8]((roots ?? Data()) + Data("\n".utf8) + added), to: file)
        return "/proc/self/fd/\(file)"
    }
}
