/// The certificate the API shows, read from files that may be replaced while the server runs.

import Logging
import NIOSSL
import Synchronization

package final class ServerCertificate: Sendable {
    private let certificate: String
    private let key: String
    private let context: Mutex<NIOSSLContext>

    /// - Parameters:
    ///   - certificate: path of a PEM file, the server's own first, then those that lead to the root.
    ///   - key: path of a PEM file without passphrase.
    /// - Throws: what NIOSSL says of a file that is missing, no PEM, or of a key that is another certificate's.
    package init(certificate: String, key: String) throws {
        (self.certificate, self.key) = (certificate, key)
        context = Mutex(try Self.load(certificate, key))
    }

    /// Connections made from now on get what the files hold now; where they can't be used the old ones stay.
    package func reload() throws {
        let new = try Self.load(certificate, key)
        context.withLock { $0 = new }
    }

    func handler() -> NIOSSLServerHandler { NIOSSLServerHandler(context: context.withLock { $0 }) }

    private static func load(_ certificate: String, _ key: String) throws -> NIOSSLContext {
        var settings = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        settings.minimumTLSVersion = .tlsv12
        settings.applicationProtocols = ["http/1.1"]
        return try NIOSSLContext(configuration: settings)
    }
}
