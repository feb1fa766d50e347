// The grammar of retry delay expressions: recursive descent into a program for a stack.

extension RetryDelayExpression {
    struct Parser {
        private let text: [UInt8]
        private var position = 0
        private var depth = 0
        private var program: [Instruction] = []
        /// Brackets inside brackets. Far above any use, far below what a stack holds.
        private static let deepest = 200

        init(text: [UInt8]) { self.text = text }

        mutating func parse() throws(Fault) -> [Instruction] {
            skipBlanks()
            if position == text.count { throw Fault(text: "empty expression") }
            try expression()
            if position < text.count { throw unexpected() }
            return program
        }

        private mutating func expression() throws(Fault) {
            try term()
            while true {
                if take("+") {
                    try term()
                    program.append(.add)
                } else if take("-") {
                    try term()
                    program.append(.subtract)
                } else {
                    return
                }
            }
        }

        private mutating func term() throws(Fault) {
            try unary()
            while true {
                if take("*") {
                    try unary()
                    program.append(.multiply)
                } else if take("/") {
                    try unary()
                    program.append(.divide)
                } else {
                    return
                }
            }
        }

        private mutating func unary() throws(Fault) {
            var isNegative = false
            while true {
                if take("-") { isNegative.toggle() } else if !take("+") { break }
            }
            try primary()
            if isNegative { program.append(.negate) }
        }

        private mutating func primary() throws(Fault) {
            skipBlanks()
            guard position < text.count else { throw unexpected() }
            let byte = text[position]
            if ASCII.isDigit(byte) || byte == UInt8(ascii: ".") {
                try number()
            } else if byte == UInt8(ascii: "(") {
                position += 1
                try nested()
                guard take(")") else { throw unexpected() }
            } else if ASCII.isAlphanumeric(byte) || byte == UInt8(ascii: "_") {
                try name()
            } else {
                throw unexpected()
            }
        }

        private mutating func nested() throws(Fault) {
            depth += 1
            if depth > Self.deepest { throw Fault(text: "brackets nested deeper than \(Self.deepest)") }
            try expression()
            depth -= 1
        }

        private mutating func number() throws(Fault) {
            let start = position
            let hasWhole = digits()
            if position < text.count, text[position] == UInt8(ascii: ".") {
                position += 1
                guard digits() else { throw unexpected() }
            } else if !hasWhole {
                throw unexpected()
            }
            if position < text.count, ASCII.lower(text[position]) == UInt8(ascii: "e") {
                position += 1
                if position < text.count, text[position] == UInt8(ascii: "+") || text[position] == UInt8(ascii: "-") {
                    position += 1
                }
                guard digits() else { throw unexpected() }
            }
            var literal = String(decoding: text[start..<position], as: UTF8.self)
            if literal.hasPrefix(".") { literal = "0" + literal }
            guard let value = Double(literal) else { throw unexpected() }
            program.append(.number(value))
            skipBlanks()
        }

        private mutating func name() throws(Fault) {
            let start = position
            while position < text.count, ASCII.isAlphanumeric(text[position]) || text[position] == UInt8(ascii: "_") {
                position += 1
            }
            let name = String(decoding: text[start..<position], as: UTF8.self)
            skipBlanks()
            if name == "retried" {
                program.append(.retried)
                return
            }
            guard Self.isFunction(name) else { throw Fault(text: "unknown name \"\(name.prefix(40))\"") }
            guard take("(") else { throw unexpected() }
            var count = 0
            repeat {
                try nested()
                count += 1
            } while take(",")
            guard take(")") else { throw unexpected() }
            guard let call = Self.call(name, arguments: count) else {
                throw Fault(text: "wrong number of arguments for \(name)")
            }
            program.append(call)
        }

        private static func isFunction(_ name: String) -> Bool {
            call(name, arguments: 1) != nil || call(name, arguments: 2) != nil
        }

        private static func call(_ name: String, arguments count: Int) -> Instruction? {
            switch (name, count) {
            case ("pow", 2): .pow
            case ("sqrt", 1): .sqrt
            case ("abs", 1): .abs
            case ("exp", 1): .exp
            case ("floor", 1): .floor
            case ("ceil", 1): .ceil
            case ("round", 1): .round
            case ("min", 2...): .min(count)
            case ("max", 2...): .max(count)
            default: nil
            }
        }

        /// Whether there was at least one.
        private mutating func digits() -> Bool {
            let start = position
            while position < text.count, ASCII.isDigit(text[position]) { position += 1 }
            return position > start
        }

        private mutating func take(_ character: Unicode.Scalar) -> Bool {
            skipBlanks()
            guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
            position += 1
            skipBlanks()
            return true
        }

        private mutating func skipBlanks() {
            while position < text.count, ASCII.isBlank(text[position]) { position += 1 }
        }

        private func unexpected() -> Fault {
            position < text.count
                ? Fault(text: "unexpected character at position \(position + 1)") : Fault(text: "unexpected end")
        }
    }
}
