// A point in time as the whole house passes it around: an argument, never read from a clock in here.

/// Milliseconds since 1970. All arithmetic saturates, so that no number from outside can trap.
package struct Timestamp: Hashable, Comparable, Sendable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package init(seconds: Int64) { milliseconds = Saturating.multiply(seconds, 1000) }

    /// Whole seconds, rounded down (also before 1970): a signature's `iat` must never lie in the future.
    package var seconds: Int64 {
        let (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    package func adding(milliseconds delta: Int64) -> Timestamp {
        Timestamp(milliseconds: Saturating.add(milliseconds, delta))
    }

    package func adding(seconds delta: Int64) -> Timestamp {
        adding(milliseconds: Saturating.multiply(delta, 1000))
    }

    /// Milliseconds from `earlier` to here; negative when `earlier` lies later.
    package func milliseconds(since earlier: Timestamp) -> Int64 {
        Saturating.subtract(milliseconds, earlier.milliseconds)
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }
}

extension Timestamp: CustomStringConvertible {
    /// The bare number, as Redis and JSON carry it.
    package var description: String { String(milliseconds) }
}

/// Integer arithmetic that stops at the ends instead of trapping.
package enum Saturating {
    package static func add(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? (right < 0 ? .min : .max) : sum
    }

    package static func subtract(_ left: Int64, _ right: Int64) -> Int64 {
        let (difference, overflow) = left.subtractingReportingOverflow(right)
        return overflow ? (right < 0 ? .max : .min) : difference
    }

    package static func multiply(_ left: Int64, _ right: Int64) -> Int64 {
        let (product, overflow) = left.multipliedReportingOverflow(by: right)
        return overflow ? ((left < 0) == (right < 0) ? .max : .min) : product
    }
}
