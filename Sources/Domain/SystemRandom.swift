// Randomness of the system in one call for several words: SystemRandomNumberGenerator asks the kernel for each.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

enum SystemRandom {
    static func words(_ count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: count) { words, filled in
            let size = count * MemoryLayout<UInt64>.size
            // 256 bytes at most (getentropy(3)).
            if size > 256 || words.baseAddress.map({ getentropy($0, size) }) != 0 {
                var generator = SystemRandomNumberGenerator()
                for index in 0..<count { words.initializeElement(at: index, to: generator.next()) }
            }
            filled = count
        }
    }
}
