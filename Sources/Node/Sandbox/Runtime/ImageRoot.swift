/// The root of a container that is made of an image's layers.
package struct ImageRoot: Sendable, Equatable {
    /// Below the pod's `layersDirectory`, lowest first.
    package var layers: [String]
    /// Who runs the container; nil: the pod's init itself, as it runs every other program.
    package var runtime: OCIRuntime?
    /// Below the pod's `writesDirectory`; nil: writes stay in memory.
    package var writes: String?
    /// How much of the memory they may take.
    package var memoryLimit: Int?
    /// The layers are copied rather than shown under an overlay, as it happens where the kernel gives none.
    package var isCopied = false
    /// `oom_score_adj`: who goes first when the machine has no memory left.
    package var outOfMemoryScore: Int?

    package init(layers: [String], runtime: OCIRuntime? = nil) {
        self.layers = layers
        self.runtime = runtime
    }

    func describe(to row: inout Row, _ program: ProgramSpec) {
        for layer in layers { row.add("lower", layer) }
        if let writes { row.add("writes", writes) }
        if let memoryLimit { row.add("writes-limit", String(memoryLimit)) }
        if isCopied { row.add("overlay", "copy") }
        if let outOfMemoryScore { row.add("oom", String(outOfMemoryScore)) }
        guard let runtime else { return }
        row.add("runtime", runtime.path)
        for option in runtime.options { row.add("runtime-option", option) }
        row.add("config", RuntimeConfiguration.text(of: program))
    }
}

/// A program that runs containers as the OCI runtime specification has it.
package struct OCIRuntime: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable { case crun, runc }

    package let kind: Kind
    package let path: String
    package let version: String

    package init(_ kind: Kind, path: String, version: String = "") {
        self.kind = kind
        self.path = path
        self.version = version
    }

    /// Control groups are the pod's business: the container's process is in them before the runtime sees it.
    var options: [String] { kind == .crun ? ["--cgroup-manager=disabled"] : ["--rootless=true"] }

    /// As nodes tell it: `crun://1.8.1`.
    package var description: String { "\(kind.rawValue)://\(version)" }
}
