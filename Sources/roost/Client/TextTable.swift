/// Tables that fit: columns as wide as their content, narrowed where the terminal is narrower.

struct Cell: ExpressibleByStringInterpolation {
    enum Tone: Sendable { case plain, title, good, bad, warning, faint }

    let text: String
    let tone: Tone

    /// Controls in the text are made visible here, so that no table can carry them.
    init(_ text: String, _ tone: Tone = .plain) { (self.text, self.tone) = (SafeText.line(text), tone) }

    init(stringLiteral value: String) { self.init(value) }
}

struct TextTable {
    struct Column {
        let title: String
        var isRight = false
        /// Columns it may be narrowed to; nil for one that is to be copied, such as an id, and goes last.
        var least: Int? = 8
        /// Of a URL the end is kept, too.
        var isURL = false
    }

    let columns: [Column]
    var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// - Parameters:
    ///   - width: of the terminal; nil for as wide as the content.
    ///   - paint: adds colour to a finished cell.
    func lines(width: Int?, paint: (String, Cell.Tone) -> String = { text, _ in text }) -> [String] {
        let titles = columns.map { Cell($0.title, .title) }
        let natural = columns.indices.map { index in
            ([titles] + rows).map { SafeText.width($0[index].text) }.max() ?? 0
        }
        let widths = Self.fit(natural, least: columns.map(\.least), into: width)
        return ([titles] + rows).map { row in
            var line = ""
            for (index, cell) in row.enumerated() where widths[index] > 0 {
                if !line.isEmpty { line += "  " }
                let text =
                    columns[index].isURL
                    ? SafeText.cutInside(cell.text, to: widths[index]) : SafeText.cut(cell.text, to: widths[index])
                let gap = String(repeating: " ", count: widths[index] - SafeText.width(text))
                let isLast = widths[(index + 1)...].allSatisfy { $0 == 0 }
                let painted = text.isEmpty ? text : paint(text, cell.tone)
                line += columns[index].isRight ? gap + painted : painted + (isLast ? "" : gap)
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    /// Takes from the widest column that may still give; then from those that are to be copied; then drops columns from
    /// the right, down to the first alone.
    static func fit(_ natural: [Int], least: [Int?], into width: Int?) -> [Int] {
        var widths = natural
        guard let width else { return widths }
        func excess() -> Int {
            let shown = widths.filter { $0 > 0 }
            return shown.reduce(0, +) + 2 * max(0, shown.count - 1) - width
        }
        for floor in [{ least[$0] }, { _ in 8 }] as [(Int) -> Int?] {
            while excess() > 0 {
                let giving = widths.indices.filter { index in floor(index).map { widths[index] > $0 } ?? false }
                guard let widest = giving.max(by: { widths[$0] < widths[$1] }) else { break }
                widths[widest] -= 1
            }
        }
        for index in widths.indices.reversed() where excess() > 0 {
            widths[index] = index == 0 ? min(widths[0], max(1, width)) : 0
        }
        return widths
    }
}
