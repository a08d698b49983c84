// swift-tools-version: 6.2
import Foundation
import PackageDescription

// The rooms of the house and the arrows between them: the table of ARCHITECTURE.md, section 3. An arrow may only point
// down that table.

let isFuzzing = Context.environment["WEFT_FUZZ"] != nil

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    // glibc's own module and ours must see the same declarations, or `fd_set` has two shapes.
    .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"] + (isFuzzing ? ["-sanitize=fuzzer,address"] : [])),
]

/// Exclusivity checks at run time cost 13 ns for each access to a class's field; the data plane is checked in debug builds.
let dataPlane: [SwiftSetting] =
    strict + [
        .enableExperimentalFeature("Lifetimes"),
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ]

func room(
    _ wing: String,
    _ name: String,
    _ dependencies: [Target.Dependency] = [],
    readmes: [String] = ["README.md"],
    settings: [SwiftSetting] = strict
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Sources/\(wing)/\(name)",
        exclude: readmes,
        swiftSettings: settings
    )
}

func program(_ name: String, _ dependencies: [Target.Dependency], settings: [SwiftSetting] = strict) -> Target {
    .executableTarget(
        name: name,
        dependencies: dependencies,
        path: "Sources/Tools/\(name)",
        swiftSettings: settings
    )
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: strict)
}

var targets: [Target] = [
    .target(
        name: "CWeft",
        path: "Sources/CLibraries/CWeft",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
    ),
    .target(
        name: "CTLS",
        path: "Sources/CLibraries/CTLS",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
    ),
    .target(
        name: "CRE2",
        path: "Sources/CLibraries/CRE2",
        cxxSettings: [.unsafeFlags(["-std=c++17", "-Wall", "-Wextra", "-Werror"])],
        linkerSettings: [.linkedLibrary("re2"), .linkedLibrary("stdc++")]
    ),
    .systemLibrary(
        name: "CYAML",
        path: "Sources/CLibraries/CYAML",
        pkgConfig: "yaml-0.1",
        providers: [.apt(["libyaml-dev"])]
    ),
    .systemLibrary(
        name: "CSQLite",
        path: "Sources/CLibraries/CSQLite",
        pkgConfig: "sqlite3",
        providers: [.apt(["libsqlite3-dev"])]
    ),
    .systemLibrary(
        name: "CNghttp2",
        path: "Sources/CLibraries/CNghttp2",
        pkgConfig: "libnghttp2",
        providers: [.apt(["libnghttp2-dev"])]
    ),
    .systemLibrary(
        name: "CCares",
        path: "Sources/CLibraries/CCares",
        pkgConfig: "libcares",
        providers: [.apt(["libc-ares-dev"])]
    ),
    .systemLibrary(
        name: "CXXHash",
        path: "Sources/CLibraries/CXXHash",
        pkgConfig: "libxxhash",
        providers: [.apt(["libxxhash-dev"])]
    ),

    .target(
        name: "COpenSSL",
        path: "Sources/CLibraries/COpenSSL",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]
    ),

    .target(
        name: "CCompression",
        path: "Sources/CLibraries/CCompression",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        linkerSettings: [
            .linkedLibrary("z"), .linkedLibrary("brotlienc"), .linkedLibrary("brotlidec"), .linkedLibrary("zstd"),
        ]
    ),

    .target(
        name: "CCurl",
        path: "Sources/CLibraries/CCurl",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
    ),

    room("Common", "Bytes", ["CWeft"], settings: dataPlane),
    room("Common", "Wire", ["Bytes", "CWeft", "CYAML"]),
    room("Common", "EnvoyAPI", ["Wire"]),
    room("Common", "Telemetry", ["Bytes", "CWeft"], settings: dataPlane),

    room("DataPlane", "Reactor", ["Bytes", "CCares", "CWeft"], settings: dataPlane),
    room("DataPlane", "HTTP", ["Bytes", "CNghttp2", "CWeft"], settings: dataPlane),
    room("DataPlane", "TLS", ["COpenSSL"], settings: dataPlane),
    room("DataPlane", "Compression", ["CCompression"], settings: dataPlane),
    room("DataPlane", "Tokens", ["COpenSSL", "Wire"], settings: dataPlane),
    room("DataPlane", "Traffic", ["Bytes", "CRE2", "CXXHash", "HTTP", "Tokens", "Wire"], settings: dataPlane),
    room(
        "DataPlane",
        "Proxy",
        [
            "Bytes", "Compression", "CWeft", "EnvoyAPI", "HTTP", "Reactor", "Telemetry", "TLS", "Tokens", "Traffic",
            "Wire",
        ],
        readmes: ["README.md", "Filters/README.md"],
        settings: dataPlane
    ),

    room("ControlPlane", "Resources", ["CRE2", "Wire"]),
    room("ControlPlane", "CEL", ["CRE2", "Resources", "Wire"]),
    room("ControlPlane", "Store", ["Bytes", "CEL", "Resources", "Wire", "CSQLite"]),
    room("ControlPlane", "Mesh", ["EnvoyAPI", "Resources", "Wire"]),
    room(
        "ControlPlane",
        "Controllers",
        ["Bytes", "CWeft", "EnvoyAPI", "Mesh", "Resources", "Store", "Telemetry", "Wire"]
    ),
    room(
        "ControlPlane",
        "Servers",
        [
            "Bytes", "CEL", "Compression", "CWeft", "HTTP", "Mesh", "Reactor", "Resources", "Store", "Telemetry", "TLS",
            "Wire",
        ]
    ),

    room("Node", "Sandbox", ["Bytes", "CWeft", "Wire"]),
    room("Node", "Images", ["Bytes", "CCurl", "COpenSSL", "Compression", "CWeft", "Reactor", "Wire"]),
    room("Node", "Agent", ["CTLS", "CWeft", "Resources", "Sandbox", "Servers", "Store", "Wire"]),

    room(
        "Tools",
        "CommandLine",
        [
            "Agent", "Bytes", "Controllers", "CWeft", "Images", "Mesh", "Reactor", "Resources", "Sandbox", "Servers",
            "Store",
            "Telemetry", "TLS", "Wire",
        ]
    ),
    program("weft", ["CommandLine", "CWeft"]),
    program("weft-proxy", ["CWeft", "Proxy"], settings: dataPlane),
    .executableTarget(
        name: "weft-pod-init",
        dependencies: ["CWeft"],
        path: "Sources/Tools/weft-pod-init",
        // C alone: nothing of Swift's runtime, and nothing to load.
        linkerSettings: [
            .unsafeFlags([
                "-nostartfiles", "-static-stdlib", "-Xclang-linker", "-static", "-Xclang-linker",
                "-Wno-unused-command-line-argument",
            ])
        ]
    ),

    tests("BytesTests", ["Bytes"]),
    tests("WireTests", ["Bytes", "Wire"]),
    tests("EnvoyAPITests", ["EnvoyAPI", "Wire"]),
    tests("TelemetryTests", ["Telemetry"]),
    tests("ReactorTests", ["Reactor", "Bytes", "CWeft"]),
    tests("HTTPTests", ["HTTP", "Bytes"]),
    tests("TLSTests", ["TLS"]),
    tests("CompressionTests", ["Compression"]),
    tests("TokensTests", ["Tokens", "Wire"]),
    tests("TrafficTests", ["Traffic", "HTTP", "Tokens"]),
    tests("ProxyTests", ["Proxy", "EnvoyAPI", "HTTP", "Reactor", "Telemetry", "Traffic", "Wire", "Bytes"]),
    tests("ResourcesTests", ["Resources", "Wire"]),
    tests("CELTests", ["CEL", "Resources", "Wire"]),
    .target(
        name: "CFaultyDisk",
        path: "Tests/CFaultyDisk",
        cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])],
        linkerSettings: [.linkedLibrary("sqlite3")]
    ),
    tests("StoreTests", ["CFaultyDisk", "Store", "Resources", "Wire"]),
    tests("MeshTests", ["Mesh", "EnvoyAPI", "Resources", "Wire"]),
    tests("ControllersTests", ["Controllers", "Mesh", "Resources", "Store", "Wire"]),
    tests("ServersTests", ["Compression", "Servers", "HTTP", "Mesh", "Reactor", "Resources", "Store", "Wire"]),
    tests("SandboxTests", ["Sandbox", "CWeft"]),
    tests("ImagesTests", ["CWeft", "Images"]),
    tests("AgentTests", ["Agent", "CWeft", "Sandbox", "Resources", "Servers", "Store", "Wire"]),
    tests("CommandLineTests", ["CommandLine", "Controllers", "Resources", "Servers", "Store", "Wire"]),
]

// `WEFT_FUZZ=1` builds the fuzz entries and what they use, instrumented, in place of the programs and tests.
if isFuzzing {
    targets.removeAll { $0.type == .test || $0.type == .executable }
    targets.append(.target(name: "CFuzz", path: "Tests/Fuzz/CFuzz"))
    for (name, room) in [
        ("FuzzHTTP1", "HTTP"), ("FuzzText", "Wire"), ("FuzzDNS", "Servers"), ("FuzzProtobuf", "EnvoyAPI"),
        ("FuzzWebSocket", "Servers"), ("FuzzHTTP2", "HTTP"), ("FuzzTLS", "TLS"), ("FuzzEdge", "Traffic"),
        ("FuzzCEL", "CEL"), ("FuzzImages", "Images"),
    ] {
        targets.append(
            .executableTarget(
                name: name,
                dependencies: ["CFuzz"]
                    + Set(
                        [room, "Wire"] + (name == "FuzzEdge" ? ["Reactor"] : []) + (name == "FuzzTLS" ? ["Tokens"] : [])
                    ).sorted().map { .byName(name: $0) },
                path: "Tests/Fuzz/\(name)",
                swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])],
                linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]
            )
        )
    }
    // What no entry needs is not built.
    var needed: Set<String> = []
    var queue = targets.filter { $0.type == .executable }
    while let target = queue.popLast() {
        guard needed.insert(target.name).inserted else { continue }
        queue += targets.filter { room in
            target.dependencies.contains { if case .byNameItem(room.name, _) = $0 { true } else { false } }
        }
    }
    targets.removeAll { !needed.contains($0.name) }
}

// `WEFT_TESTS=WireTests,HTTPTests` builds only those test targets: a quick turn while working on one room.
if let chosen = Context.environment["WEFT_TESTS"]?.split(separator: ",").map(String.init) {
    targets.removeAll { $0.type == .test && !chosen.contains($0.name) }
}
targets.removeAll {
    ($0.type == .test || $0.name == "CFaultyDisk")
        && !FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\($0.path ?? "")")
}

let package = Package(
    name: "weft",
    products: isFuzzing
        ? []
        : [
            .executable(name: "weft", targets: ["weft"]),
            .executable(name: "weft-proxy", targets: ["weft-proxy"]),
        ],
    targets: targets
)
