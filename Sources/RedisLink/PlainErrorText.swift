/// What went wrong with a connection, as a person says it.

import Glibc
import NIOCore
import NIOPosix

/// "connection refused" where NIO says which of its functions failed, how it was called and with which number.
package func plainText(of error: any Error) -> String {
    switch error {
    case let error as IOError: return String(cString: strerror(error.errnoCode)).lowercased()
    case let error as NIOConnectionError:
        if let failure = error.connectionErrors.first { return plainText(of: failure.error) }
        return "the name \(error.host) can't be resolved"
    default: return "\(error)"
    }
}
