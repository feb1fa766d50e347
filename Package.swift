// swift-tools-version: 6.2
import PackageDescription

// ops/check builds with warnings as errors.
let strict: [SwiftSetting] =
    (Context.environment["ROOST_CHECK"] == nil ? [] : [.treatAllWarnings(as: .error)]) + [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]

// A release has the Swift runtime and Foundation in itself: it runs where no Swift is installed, and calls without a detour through
// the tables of shared libraries make a publish a fifth cheaper (ops/bench.d/NOTES.md). lld comes with the toolchain, too; behind
// it stands what Foundation brings with it. C libraries stay shared, so that the system's security updates reach them.
let runtimeInside: [LinkerSetting] = [
    .unsafeFlags(
        ["-static-stdlib", "-use-ld=lld"]
            + ["CoreFoundation", "_FoundationICU", "_FoundationCShims", "_FoundationCollections"].map { "-l" + $0 },
        .when(platforms: [.linux], configuration: .release))
]

let package = Package(
    name: "roost",
    products: [.executable(name: "roost", targets: ["roost"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        // Without traits: the files are ours to parse, nothing is reloaded, and less is built.
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CHiredis"),
        .systemLibrary(name: "CCurl"),
        .target(name: "CProcess"),
        .target(name: "CAllocator", linkerSettings: [.linkedLibrary("jemalloc")]),
        .target(name: "CEvents"),
        .target(
            name: "Domain",
            dependencies: [.product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .target(
            name: "RedisLink",
            dependencies: [
                "CHiredis", "CProcess",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict),
        .target(name: "CurlLink", dependencies: ["CCurl", "CEvents"], swiftSettings: strict),
        .target(
            name: "Engine",
            dependencies: [
                "Domain", "RedisLink", "CurlLink",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            resources: [.embedInCode("lua")],
            swiftSettings: strict),
        .target(
            name: "HTTPAPI",
            dependencies: [
                "Domain", "Engine",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            resources: [.embedInCode("openapi.yaml")],
            swiftSettings: strict),
        .target(
            name: "Console",
            dependencies: ["Domain", "HTTPAPI", .product(name: "Crypto", package: "swift-crypto")],
            resources: [.embedInCode("web")],
            swiftSettings: strict),
        .executableTarget(
            name: "roost",
            dependencies: [
                "Domain", "RedisLink", "CurlLink", "Engine", "HTTPAPI", "Console", "CProcess", "CAllocator",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: strict,
            linkerSettings: runtimeInside),
        .executableTarget(
            name: "HotPaths", dependencies: ["Domain", "Engine", "HTTPAPI", "RedisLink"], path: "ops/bench.d/HotPaths",
            swiftSettings: strict, linkerSettings: runtimeInside),
        .target(
            name: "TestSupport",
            dependencies: [
                "Domain", "RedisLink", "CurlLink", "Engine",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "CCurl", "Domain", "RedisLink", .product(name: "Crypto", package: "swift-crypto"),
            ],
            path: "Tests/Fuzz/Targets",
            swiftSettings: strict),
        .testTarget(name: "FuzzCorpusTests", dependencies: ["FuzzTargets", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "DomainTests", dependencies: ["Domain", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "RedisLinkTests", dependencies: ["RedisLink", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "CurlLinkTests", dependencies: ["CurlLink", "TestSupport"], swiftSettings: strict),
        .testTarget(name: "ScriptTests", dependencies: ["Engine", "RedisLink", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "ModelTests", dependencies: ["CHiredis", "Engine", "RedisLink", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "TestSupport", .product(name: "CoreMetrics", package: "swift-metrics")],
            swiftSettings: strict),
        .testTarget(name: "HTTPAPITests", dependencies: ["HTTPAPI", "Console", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "ClientTests",
            dependencies: ["Domain", "roost", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests", dependencies: ["TestSupport", "RedisLink", "roost"],
            exclude: [
                "cli.py", "client.py", "clocks.py", "console.py", "copies.py", "crash.py", "doctor.py", "door.py",
                "endpoints.py",
                "faults.py",
                "fuzz.py", "gates.py", "golden.py", "interposed.py", "invariants.py", "leaving.py", "million.py",
                "openapi.py",
                "operations.py", "points.py", "races.py", "roosting.py", "schedules.py", "sdk.py", "serve.py",
                "storms.py",
            ],
            swiftSettings: strict),
    ]
)
