/// The protocol of Redis without a connection: bytes in, replies out, read by hiredis.

import CHiredis

/// Not Sendable: it stays with the connection whose bytes it reads.
package final class RedisReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>?

    package init() { reader = redisReaderCreate() }

    deinit { if let reader { redisReaderFree(reader) } }

    /// Hands over every reply that is complete with these bytes, in order; what is begun waits for more. False where
    /// the bytes are no replies: then the connection is lost, and nothing further may be read.
    package func read(_ bytes: UnsafeRawBufferPointer, _ onReply: (RedisValue) -> Void) -> Bool {
        guard let reader else { return false }
        let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard redisReaderFeed(reader, start, bytes.count) == REDIS_OK else { return false }
        while true {
            var reply: UnsafeMutableRawPointer?
            guard redisReaderGetReply(reader, &reply) == REDIS_OK else { return false }
            guard let reply else { return true }
            let value = RedisValue(UnsafePointer(reply.assumingMemoryBound(to: redisReply.self)))
            freeReplyObject(reply)
            onReply(value)
        }
    }
}
