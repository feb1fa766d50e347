// The default wait before a retry (contract delivery.md §5).

package enum Backoff {
    /// Milliseconds before the n-th retry, from 1: `min(longest, floor(1000 * e^(2.5 n)))`. A table, so that no
    /// mathematics library decides about a millisecond.
    package static func delay(retry n: Int64, longest: Int64 = 86_400_000) -> Int64 {
        switch n {
        case ...1: min(12_182, longest)
        case 2: min(148_413, longest)
        case 3: min(1_808_042, longest)
        case 4: min(22_026_465, longest)
        case 5: min(268_337_286, longest)
        default: longest
        }
    }
}
