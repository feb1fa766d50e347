// swift-tools-version: 6.2
// A build for libFuzzer alone (ops/fuzz): the code under test, linked here from Sources and instrumented, and of the
// dependencies only what it needs. A package of its own, so that the usual build knows nothing of it.
import PackageDescription

// Optimised, though the dependencies are not: they take minutes otherwise, and are not what is looked at.
let flags = ["-O", "-sanitize=fuzzer,address"]
let settings: [SwiftSetting] = [
    .unsafeFlags(flags), .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
]
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "fuzz",
    dependencies: [.package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2")],
    targets: [
        .systemLibrary(name: "CFuzzer", path: "CFuzzer"),
        .systemLibrary(name: "CHiredis", path: "CHiredis"),
        .systemLibrary(name: "CCurl", path: "CCurl"),
        .target(name: "Domain", dependencies: [crypto], path: "Domain", swiftSettings: settings),
        // Only what reads replies: the rest needs SwiftNIO.
        .target(name: "RedisLink", dependencies: ["CHiredis"], path: "RedisLink", swiftSettings: settings),
        .target(
            name: "FuzzTargets", dependencies: ["CCurl", "Domain", "RedisLink", crypto], path: "Targets",
            swiftSettings: settings),
        .executableTarget(
            name: "Driver", dependencies: ["CFuzzer", "FuzzTargets"], path: "Driver", swiftSettings: settings,
            linkerSettings: [.unsafeFlags(flags + ["-use-ld=lld"])]),
    ]
)
