import Glibc

/// Which OCI runtime runs containers of images here, and why those before it in the order do not.
package struct RuntimeChoice: Sendable, Equatable {
    package struct Refusal: Sendable, Equatable {
        package let kind: OCIRuntime.Kind
        package let reason: String

        package init(_ kind: OCIRuntime.Kind, _ reason: String) {
            self.kind = kind
            self.reason = reason
        }
    }

    /// nil: the pod's init runs them itself.
    package var runtime: OCIRuntime?
    package var refusals: [Refusal] = []

    package init(runtime: OCIRuntime? = nil, refusals: [Refusal] = []) {
        self.runtime = runtime
        self.refusals = refusals
    }

    /// `crun 1.8.1`, or `weft itself (crun: not installed; runc: not installed)`.
    package var description: String {
        let name = runtime.map { "\($0.kind.rawValue) \($0.version)" } ?? "weft itself"
        return refusals.isEmpty ? name : "\(name) (\(reasons))"
    }

    package var reasons: String { refusals.map { "\($0.kind.rawValue): \($0.reason)" }.joined(separator: "; ") }
}

/// Tries the OCI runtimes of this machine, each with a container of its own in a trial pod.
package enum RuntimeSearch {
    /// crun comes first: it is small C, starts in a third of runc's time, and can be told to leave control groups alone.
    package static let order = OCIRuntime.Kind.allCases

    /// The order that words such as `runc,crun` say; `weft` stands for none of them and ends it. nil: a word is unknown.
    package static func order(_ words: String) -> [OCIRuntime.Kind]? {
        var order: [OCIRuntime.Kind] = []
        for word in words.split(separator: ",") {
            if word == "weft" { return order }
            guard let kind = OCIRuntime.Kind(rawValue: String(word)) else { return nil }
            order.append(kind)
        }
        return order
    }

    /// Finds the first runtime of `order` that runs a container in a pod like any other. The trial takes place below
    /// `directory`, and leaves nothing there.
    package static func find(
        directory: String,
        order: [OCIRuntime.Kind] = order,
        searchPath: String = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ) async -> RuntimeChoice {
        var choice = RuntimeChoice()
        for kind in order {
            let places = searchPath.split(separator: ":").map { "\($0)/\(kind.rawValue)" }
            guard let path = places.first(where: { access($0, X_OK) == 0 }) else {
                choice.refusals.append(.init(kind, "not installed (apt-get install \(kind.rawValue))"))
                continue
            }
            do throws(SandboxError) {
                let trial = try RuntimeTrial(directory: directory)
                defer { trial.clear() }
                choice.runtime = OCIRuntime(
                    kind,
                    path: path,
                    version: try await trial.run(OCIRuntime(kind, path: path))
                )
                return choice
            } catch { choice.refusals.append(.init(kind, error.message)) }
        }
        return choice
    }
}

/// One trial: a pod, an image of one file, the runtime.
private struct RuntimeTrial {
    /// The program of the image: linked statically, it says what it is and ends with this code.
    private static let program = "weft-pod-init"
    private static let code = 2

    let place: String

    init(directory: String) throws(SandboxError) {
        place = "\(directory)/runtime-\(getpid())"
        let layer = "\(place)/layers/one"
        try makeDirectory(layer, mode: 0o755)
        var path = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let source = "\(own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex))/\(Self.program)"
        guard copy(source, to: "\(layer)/program") else {
            clear()
            throw SandboxError(.refused, "no trial: \(source) is not there")
        }
    }

    func clear() { try? Leftovers.remove(place) }

    private func copy(_ source: String, to target: String) -> Bool {
        let from = open(source, O_RDONLY | O_CLOEXEC)
        guard from >= 0 else { return false }
        defer { close(from) }
        let to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o755)
        guard to >= 0 else { return false }
        defer { close(to) }
        var sent = 1
        while sent > 0 { sent = sendfile(to, from, nil, 1 << 24) }
        return sent == 0
    }

    /// Runs the container; returns the runtime's version.
    func run(_ runtime: OCIRuntime) async throws(SandboxError) -> String {
        var spec = SandboxSpec(
            namespace: "weft",
            name: "runtime",
            uid: "runtime",
            directory: "\(place)/pod",
            hiddenDirectory: place,
            address: "10.244.255.253"
        )
        spec.layersDirectory = "\(place)/layers"
        spec.writesDirectory = "\(place)/writes"
        spec.files = [SandboxFile(path: "/etc/resolv.conf", content: "")]
        let pod = try await PodSandbox.create(spec)
        do throws(SandboxError) {
            let version = try await ask(runtime, in: pod)
            try await tryContainer(runtime, in: pod)
            try await pod.remove()
            return version
        } catch {
            try? await pod.remove()
            throw error
        }
    }

    private func tryContainer(_ runtime: OCIRuntime, in pod: PodSandbox) async throws(SandboxError) {
        var program = ProgramSpec(name: "trial", arguments: ["/program"], environment: ["PATH=/"], directory: "/")
        program.image = ImageRoot(layers: ["one"], runtime: runtime)
        program.image?.writes = "trial"
        _ = try await pod.start(program)
        for await event in pod.events {
            guard case .exited(let run) = event, run.name == program.name else { continue }
            guard run.exitCode == Self.code else {
                let log = readFile("\(place)/pod/\(program.log)", limit: 2048) ?? ""
                let last = log.split(separator: "\n").last.map(String.init) ?? "nothing was said"
                throw SandboxError(.refused, "its container ended with \(run.exitCode): \(last)")
            }
            return
        }
        throw SandboxError(.ended, "the trial pod ended")
    }

    /// Which version it is: the last word of the first line that it says.
    private func ask(_ runtime: OCIRuntime, in pod: PodSandbox) async throws(SandboxError) -> String {
        let name = "version"
        let question = ProgramSpec(name: name, arguments: [runtime.path, "--version"], environment: [], directory: "/")
        _ = try await pod.start(question)
        for await event in pod.events {
            guard case .exited(let run) = event, run.name == name else { continue }
            // The answer to this comes when all of the log is written.
            _ = try await pod.containers()
            let log = readFile("\(place)/pod/\(question.log)", limit: 4096) ?? ""
            let words = log.split(separator: "\n").first?.split(separator: " ") ?? []
            guard run.exitCode == 0, let version = words.last else {
                throw SandboxError(.refused, "\(runtime.path) --version ended with \(run.exitCode)")
            }
            return String(version)
        }
        throw SandboxError(.ended, "the trial pod ended")
    }
}
