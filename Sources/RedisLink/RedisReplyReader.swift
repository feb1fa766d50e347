/// The protocol of Redis without a connection: bytes in, replies out, read by hiredis.

import CHiredis

/// Not Sendable: it stays with the connection whose bytes it reads.
package final class RedisReplyReader {
    private let reader: UnsafeMutablePointer<redisReader>?
    /// One that hiredis is not given.
    private var large: LargeBulk?
    private let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)

    package init() {
        functions.initialize(to: ReplyUnderConstruction.functions)
        reader = redisReaderCreateWithFunctions(functions)
    }

    deinit {
        if let reader { redisReaderFree(reader) }
        functions.deallocate()
    }

    /// Hands over every reply that is complete with these bytes, in order; what is begun waits for more. False where
    /// the bytes are no replies: then the connection is lost, and nothing further may be read.
    package func read(_ bytes: UnsafeRawBufferPointer, _ onReply: (RedisValue) -> Void) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            if large == nil, isBetweenReplies { large = LargeBulk(&rest) }
            guard var string = large.take() else { return feed(rest, onReply) }
            guard string.take(&rest) else { return false }
            if string.isWhole { onReply(.bulk(string.bytes)) } else { large = string }
        }
        return true
    }

    /// Whether hiredis has handed over all it was fed.
    private var isBetweenReplies: Bool {
        guard let reader = reader?.pointee else { return false }
        return reader.ridx == -1 && reader.pos == reader.len
    }

    private func feed(_ bytes: UnsafeRawBufferPointer, _ onReply: (RedisValue) -> Void) -> Bool {
        guard let reader else { return false }
        let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard redisReaderFeed(reader, start, bytes.count) == REDIS_OK else { return false }
        // Asked once more it would count the next reply as begun.
        while !isBetweenReplies {
            var reply: UnsafeMutableRawPointer?
            guard redisReaderGetReply(reader, &reply) == REDIS_OK else { return false }
            guard let reply else { return true }
            onReply(Unmanaged<ReplyUnderConstruction>.fromOpaque(reply).takeRetainedValue().value)
        }
        return true
    }
}

/// What hiredis calls an object: it makes one for the whole reply and one for each array in it. Strings and numbers go
/// into the array they stand in at once, without an object and a copy of their own.
private final class ReplyUnderConstruction {
    private var single = RedisValue.null
    private var elements: [RedisValue]?
    /// Arrays in this one, and their places.
    private var arrays: [(place: Int, array: ReplyUnderConstruction)] = []

    private init(single: RedisValue) { self.single = single }

    private init(elements: Int) {
        var array: [RedisValue] = []
        // As many as the server announces, but no more memory than it has sent bytes for.
        array.reserveCapacity(min(max(0, elements), 1024))
        self.elements = array
    }

    var value: RedisValue {
        guard var elements else { return single }
        for (place, array) in arrays { elements[place] = array.value }
        return .array(elements)
    }

    private static func parent(_ task: redisReadTask) -> (
        object: ReplyUnderConstruction, pointer: UnsafeMutableRawPointer
    )? {
        guard let pointer = task.parent?.pointee.obj else { return nil }
        return (Unmanaged.fromOpaque(pointer).takeUnretainedValue(), pointer)
    }

    /// A whole reply comes back with a reference that `read` takes over, and hiredis itself by `freeObject` on an error.
    private static func put(_ value: RedisValue, _ task: UnsafePointer<redisReadTask>?) -> UnsafeMutableRawPointer? {
        guard let task = task?.pointee else { return nil }
        guard let parent = parent(task) else {
            return Unmanaged.passRetained(ReplyUnderConstruction(single: value)).toOpaque()
        }
        parent.object.elements?.append(value)
        return parent.pointer
    }

    private static func array(_ count: Int, _ task: UnsafePointer<redisReadTask>?) -> UnsafeMutableRawPointer? {
        guard let task = task?.pointee else { return nil }
        let array = ReplyUnderConstruction(elements: count)
        guard let parent = parent(task) else { return Unmanaged.passRetained(array).toOpaque() }
        parent.object.arrays.append((parent.object.elements?.count ?? 0, array))
        parent.object.elements?.append(.null)
        return Unmanaged.passUnretained(array).toOpaque()
    }

    static var functions: redisReplyObjectFunctions {
        var functions = redisReplyObjectFunctions()
        functions.createString = { task, text, count in
            let bytes = UnsafeRawBufferPointer(start: text, count: Int(count))
            let isError = task?.pointee.type == REDIS_REPLY_ERROR
            return ReplyUnderConstruction.put(
                isError ? .error(String(decoding: bytes, as: UTF8.self)) : .bulk(Array(bytes)), task)
        }
        functions.createArray = { task, count in ReplyUnderConstruction.array(Int(count), task) }
        functions.createInteger = { task, number in ReplyUnderConstruction.put(.integer(number), task) }
        functions.createNil = { task in ReplyUnderConstruction.put(.null, task) }
        functions.freeObject = { object in
            if let object { Unmanaged<ReplyUnderConstruction>.fromOpaque(object).release() }
        }
        return functions
    }
}
