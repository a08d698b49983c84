package import Wire

/// What an image was built for, in the words of OCI (and Go).
package struct Platform: Sendable, Equatable, CustomStringConvertible {
    package var os: String
    package var architecture: String
    package var variant: String

    package init(os: String, architecture: String, variant: String = "") {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    /// `linux/arm64/v8` or `arm64`; nil when it is neither.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 64 }) else {
            return nil
        }
        let words = parts.count == 1 ? ["linux"] + parts : parts
        self.init(os: words[0], architecture: Self.plain(words[1]), variant: words.count > 2 ? words[2] : "")
    }

    package init(_ value: Value) {
        self.init(
            os: value["os"]?.stringValue ?? "",
            architecture: value["architecture"]?.stringValue ?? "",
            variant: value["variant"]?.stringValue ?? ""
        )
    }

    /// This machine's.
    package static var host: Platform {
        #if arch(x86_64)
            Platform(os: "linux", architecture: "amd64")
        #elseif arch(arm64)
            Platform(os: "linux", architecture: "arm64", variant: "v8")
        #elseif arch(arm)
            Platform(os: "linux", architecture: "arm", variant: "v7")
        #elseif arch(riscv64)
            Platform(os: "linux", architecture: "riscv64")
        #else
            Platform(os: "linux", architecture: "unknown")
        #endif
    }

    private static func plain(_ architecture: String) -> String {
        switch architecture {
        case "x86_64", "x86-64": "amd64"
        case "aarch64": "arm64"
        default: architecture
        }
    }

    /// How well an image of another platform fits this one: higher is better, nil not at all.
    package func fitness(of other: Platform) -> Int? {
        guard other.os == os, Self.plain(other.architecture) == architecture else { return nil }
        if other.variant == variant { return 100 }
        switch architecture {
        // arm64 has had one variant so far; it is often left out.
        case "arm64": return ["", "v8"].contains(other.variant) && ["", "v8"].contains(variant) ? 99 : nil
        case "arm":
            guard let mine = Int(variant.dropFirst()), let theirs = Int(other.variant.dropFirst()), theirs <= mine
            else { return other.variant.isEmpty ? 1 : nil }
            return 50 + theirs
        // Levels of amd64 beyond the first are not known to be there.
        default: return other.variant.isEmpty || variant.isEmpty && other.variant == "v1" ? 50 : nil
        }
    }

    package var description: String {
        "\(os)/\(architecture)" + (variant.isEmpty ? "" : "/\(variant)")
    }
}
