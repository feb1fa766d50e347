/// The sockets of a multi's open connections, found by their ends: curl tells a transfer which connection it is about to
/// use, but not its socket (CURLINFO_ACTIVESOCKET knows it only at the end).

import Foundation

final class CurlConnections {
    struct Ends: Hashable {
        /// Ports.
        var local: UInt16
        var remote: UInt16
        /// Of the other side.
        var address: String
    }

    private var sockets: [Ends: Int32] = [:]
    private var ends: [Int32: Ends] = [:]

    /// - Parameter opened: of which one has the local port: the others lost the race to connect.
    func add(_ opened: [Int32], as ends: Ends) {
        guard let socket = opened.first(where: { Self.localPort(of: $0) == ends.local }) else { return }
        sockets[ends] = socket
        self.ends[socket] = ends
    }

    /// Its number may be another socket's soon.
    func forget(_ socket: Int32) {
        guard let ends = ends.removeValue(forKey: socket), sockets[ends] == socket else { return }
        sockets[ends] = nil
    }

    /// Whether bytes wait there. False also for a connection that is not known, or that the other side has closed.
    func hasInput(_ ends: Ends) -> Bool {
        guard let socket = sockets[ends] else { return false }
        var byte: UInt8 = 0
        return recv(socket, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)) > 0
    }

    private static func localPort(of socket: Int32) -> UInt16? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &address) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            guard getsockname(socket, raw.assumingMemoryBound(to: sockaddr.self), &size) == 0 else { return nil }
            switch Int32(address: raw) {
            case AF_INET: return UInt16(bigEndian: raw.loadUnaligned(as: sockaddr_in.self).sin_port)
            case AF_INET6: return UInt16(bigEndian: raw.loadUnaligned(as: sockaddr_in6.self).sin6_port)
            default: return nil
            }
        }
    }
}

extension Int32 {
    /// The family of a socket address.
    fileprivate init(address: UnsafeMutableRawPointer) {
        self = Int32(address.loadUnaligned(as: sockaddr.self).sa_family)
    }
}
