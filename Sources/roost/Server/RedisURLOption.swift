/// `--redis-url`, which everybody on the machine can read.

import Foundation

enum RedisURLOption {
    /// Refuses a password, without repeating it.
    static func check(_ text: String?) throws {
        guard let text, let scheme = text.range(of: "://") else { return }
        let authority = text[scheme.upperBound...].prefix { $0 != "/" }
        guard let at = authority.lastIndex(of: "@"), authority[..<at].contains(":") else { return }
        throw CommandFailure(
            text:
                "--redis-url holds a password, which everyone on this machine could read: set ROOST_REDIS_URL or ROOST_REDIS_URL_FILE",
            status: 2)
    }
}
