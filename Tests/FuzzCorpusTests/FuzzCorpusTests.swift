import Foundation
import FuzzTargets
import TestSupport
import Testing

/// The inputs that are kept for the fuzzer, one by one, without it: examples of the contract, and whatever it once found.
@Suite struct FuzzCorpusTests {
    private static let corpus = Contract.top.appendingPathComponent("Tests/Corpus")

    private static func names(in folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasPrefix(".") }.sorted()
    }

    @Test(arguments: FuzzTarget.allCases)
    func everyInputHolds(_ target: FuzzTarget) throws {
        let folder = Self.corpus.appendingPathComponent(target.rawValue)
        let names = try Self.names(in: folder)
        #expect(names.count >= 5, "\(target.rawValue) has lost its inputs")
        for name in names {
            let bytes = try Array(Data(contentsOf: folder.appendingPathComponent(name)))
            #expect(throws: Never.self, "Tests/Corpus/\(target.rawValue)/\(name)") { try target.check(bytes) }
        }
    }

    @Test func everyFolderHasATarget() throws {
        let folders = try Self.names(in: Self.corpus).filter { !$0.hasSuffix(".dict") }
        #expect(folders == FuzzTarget.allCases.map(\.rawValue).sorted())
    }

    /// Cut anywhere and with any byte doubled, an input is still only an input.
    @Test(arguments: FuzzTarget.allCases)
    func everyInputHoldsWithAMistakeInIt(_ target: FuzzTarget) throws {
        let folder = Self.corpus.appendingPathComponent(target.rawValue)
        var generator = SeededGenerator(seed: 7)
        for name in try Self.names(in: folder) {
            let bytes = try Array(Data(contentsOf: folder.appendingPathComponent(name)))
            for _ in 0..<4 where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                let cut = Array(bytes[..<place])
                let doubled = Array(bytes[...place] + bytes[place...])
                for input in [cut, doubled] {
                    #expect(throws: Never.self, "\(target.rawValue)/\(name), a mistake at \(place)") {
                        try target.check(input)
                    }
                }
            }
        }
    }
}
