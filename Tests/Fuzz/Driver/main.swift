// Hands the inputs of libFuzzer to one target, named by the environment so that one program serves all.

import CFuzzer
import Foundation
import FuzzTargets

/// A function that C calls can hold nothing, so it looks here.
private enum Chosen {
    static let name = ProcessInfo.processInfo.environment["ROOST_FUZZ_TARGET"] ?? ""
    static let target = FuzzTarget(rawValue: name)
}

/// The name is the one that libFuzzer looks for.
@_cdecl("LLVMFuzzerTestOneInput")
public func one(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do {
        try Chosen.target?.check(Array(UnsafeBufferPointer(start: start, count: count)))
    } catch {
        FileHandle.standardError.write(Data("FOUND: \(error)\n".utf8))
        abort()
    }
    return 0
}

guard Chosen.target != nil else { fatalError("ROOST_FUZZ_TARGET names no target: \(Chosen.name)") }
var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&count, &arguments, one))
