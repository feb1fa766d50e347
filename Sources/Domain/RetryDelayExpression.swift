// `Upstash-Retry-Delay`: a small arithmetic language over `retried` (contract delivery.md §6). Parsed at publish to
// refuse mistakes there, and again after a failed attempt. The parser is in RetryDelayExpression+parse.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A parsed expression: a program for a stack, so that evaluating needs no recursion.
package struct RetryDelayExpression: Sendable, Hashable {
    enum Instruction: Sendable, Hashable {
        case number(Double)
        case retried
        case negate, add, subtract, multiply, divide
        case pow, sqrt, abs, exp, floor, ceil, round
        /// Of this many values, 2 or more.
        case min(Int), max(Int)
    }

    package struct Fault: Error, Sendable, Hashable {
        /// For the client.
        package let text: String
    }

    package static let longestText = 1000
    let program: [Instruction]

    package init(_ text: String) throws(Fault) {
        if text.utf8.count > Self.longestText {
            throw Fault(text: "expression longer than \(Self.longestText) characters")
        }
        var parser = Parser(text: Array(text.utf8))
        program = try parser.parse()
    }

    /// Milliseconds, rounded down, between 0 and `longest`; nil where the result is infinite or not a number, which
    /// means the default backoff.
    ///
    /// - `retried`: 0 for the first retry.
    package func evaluate(retried: Int, longest: Int64 = 86_400_000) -> Int64? {
        let value = run(retried: Double(retried))
        guard let value, value.isFinite else { return nil }
        if value <= 0 { return 0 }
        return value >= Double(longest) ? longest : Int64(value.rounded(.down))
    }

    /// nil only for a program the parser does not write.
    private func run(retried: Double) -> Double? {
        var stack: [Double] = []
        for instruction in program {
            switch instruction {
            case .number(let value): stack.append(value)
            case .retried: stack.append(retried)
            case .negate: guard unary(&stack, { -$0 }) else { return nil }
            case .sqrt: guard unary(&stack, { $0.squareRoot() }) else { return nil }
            case .abs: guard unary(&stack, { $0.magnitude }) else { return nil }
            case .exp: guard unary(&stack, { Self.exponential($0) }) else { return nil }
            case .floor: guard unary(&stack, { $0.rounded(.down) }) else { return nil }
            case .ceil: guard unary(&stack, { $0.rounded(.up) }) else { return nil }
            case .round: guard unary(&stack, { $0.rounded(.toNearestOrAwayFromZero) }) else { return nil }
            case .add: guard binary(&stack, +) else { return nil }
            case .subtract: guard binary(&stack, -) else { return nil }
            case .multiply: guard binary(&stack, *) else { return nil }
            case .divide: guard binary(&stack, /) else { return nil }
            case .pow: guard binary(&stack, { Self.power($0, $1) }) else { return nil }
            case .min(let count): guard fold(&stack, count, { Swift.min($0, $1) }) else { return nil }
            case .max(let count): guard fold(&stack, count, { Swift.max($0, $1) }) else { return nil }
            }
        }
        return stack.count == 1 ? stack[0] : nil
    }

    private func unary(_ stack: inout [Double], _ operation: (Double) -> Double) -> Bool {
        guard let value = stack.popLast() else { return false }
        stack.append(operation(value))
        return true
    }

    private func binary(_ stack: inout [Double], _ operation: (Double, Double) -> Double) -> Bool {
        guard let right = stack.popLast(), let left = stack.popLast() else { return false }
        stack.append(operation(left, right))
        return true
    }

    /// Not-a-number in any place makes the whole so.
    private func fold(_ stack: inout [Double], _ count: Int, _ operation: (Double, Double) -> Double) -> Bool {
        guard count > 0, stack.count >= count else { return false }
        let values = stack.suffix(count)
        stack.removeLast(count)
        stack.append(
            values.dropFirst().reduce(values[values.startIndex]) {
                $0.isNaN || $1.isNaN ? .nan : operation($0, $1)
            })
        return true
    }

    private static func exponential(_ value: Double) -> Double { Platform.exp(value) }

    private static func power(_ base: Double, _ exponent: Double) -> Double { Platform.pow(base, exponent) }
}

/// The C functions under names that the instructions do not hide.
private enum Platform {
    #if canImport(Glibc)
        static func exp(_ value: Double) -> Double { Glibc.exp(value) }
        static func pow(_ base: Double, _ exponent: Double) -> Double { Glibc.pow(base, exponent) }
    #elseif canImport(Musl)
        static func exp(_ value: Double) -> Double { Musl.exp(value) }
        static func pow(_ base: Double, _ exponent: Double) -> Double { Musl.pow(base, exponent) }
    #else
        static func exp(_ value: Double) -> Double { Darwin.exp(value) }
        static func pow(_ base: Double, _ exponent: Double) -> Double { Darwin.pow(base, exponent) }
    #endif
}
