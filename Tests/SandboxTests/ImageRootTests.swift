import CWeft
import Glibc
import Sandbox
import Testing

/// Who runs the container: the pod init itself, or an OCI runtime of this machine.
struct Runner: Sendable, CustomTestStringConvertible {
    let runtime: OCIRuntime?

    var testDescription: String { runtime?.kind.rawValue ?? "weft" }

    static let all: [Runner] =
        [Runner(runtime: nil)]
        + OCIRuntime.Kind.allCases.compactMap { kind in
            let places = ["/usr/bin/\(kind.rawValue)", "/usr/sbin/\(kind.rawValue)"]
            let path = places.first { access($0, X_OK) == 0 }
            return path.map { Runner(runtime: OCIRuntime(kind, path: $0)) }
        }
}

/// Layers of an image around one static program, below a test's place.
struct Layers {
    static let busybox = "/bin/busybox"
    static let isPossible = access(busybox, X_OK) == 0

    let directory: String

    init(_ place: Place) throws {
        directory = "\(place.path)/layers"
        try makeDirectory("\(directory)/base/bin", mode: 0o755)
        chmod(directory, 0o755)
        try makeDirectory("\(directory)/base/etc", mode: 0o755)
        #expect(link(Self.busybox, "\(directory)/base/bin/busybox") == 0 || copyBusybox())
        for name in ["sh", "cat", "id", "ls", "sleep", "touch", "hostname", "test", "grep", "pwd", "mount"] {
            symlink("busybox", "\(directory)/base/bin/\(name)")
        }
        try write("base", "etc/os-release", "NAME=test\n")
    }

    private func copyBusybox() -> Bool {
        let from = open(Self.busybox, O_RDONLY)
        let to = open("\(directory)/base/bin/busybox", O_WRONLY | O_CREAT, 0o755)
        defer {
            close(from)
            close(to)
        }
        var sent = 1
        while sent > 0 { sent = sendfile(to, from, nil, 1 << 24) }
        return sent == 0
    }

    func write(_ layer: String, _ path: String, _ text: String) throws {
        let full = "\(directory)/\(layer)/\(path)"
        try makeDirectory(String(full.prefix(upTo: full.lastIndex(of: "/") ?? full.startIndex)), mode: 0o755)
        try replaceFile(full, with: text, mode: 0o644)
    }

    func sandbox(_ place: Place, _ name: String = "pod") -> SandboxSpec {
        var spec = place.spec(name)
        spec.layersDirectory = directory
        spec.writesDirectory = "\(spec.directory)/writes"
        spec.files = [
            SandboxFile(path: "/etc/resolv.conf", content: "nameserver 10.96.0.10\n"),
            SandboxFile(path: "/etc/hosts", content: "127.0.0.1 localhost\n10.244.1.1 \(name)\n"),
        ]
        return spec
    }

    func program(_ script: String, _ runner: Runner, layers: [String] = ["base"], attempt: Int = 0) -> ProgramSpec {
        var program = ProgramSpec(
            name: "app",
            attempt: attempt,
            arguments: ["sh", "-c", script],
            environment: ["PATH=/bin", "GREETING=hello"],
            directory: "/"
        )
        program.image = ImageRoot(layers: layers, runtime: runner.runtime)
        program.image?.writes = "app-\(attempt)"
        return program
    }
}

@Suite(
    "Roots of images",
    .enabled(
        if: Allowed.pods && Layers.isPossible,
        "this machine allows no pods to this user, or has no static busybox"
    )
)
struct ImageRootTests {
    /// The texts of the log's lines.
    private static func texts(_ pod: PodSandbox) -> [String] {
        pod.log("app").split(separator: "\n").map { line in
            let parts = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            return parts.count == 4 ? String(parts[3]) : ""
        }
    }

    private func run(_ script: String, _ runner: Runner, change: (inout ProgramSpec) -> Void = { _ in }) async throws
        -> (code: Int?, log: String)
    {
        let place = Place()
        defer { place.remove() }
        let layers = try Layers(place)
        let pod = try await PodSandbox.create(layers.sandbox(place))
        var wanted = layers.program(script, runner)
        change(&wanted)
        _ = try await pod.start(wanted)
        let end = await pod.exit(of: "app")
        _ = try await pod.containers()
        let log = Self.texts(pod)
        try await pod.remove()
        return (end?.exitCode, log.joined(separator: "\n"))
    }

    @Test("a program sees its image and the pod's names, and nothing of the machine", arguments: Runner.all)
    func sees(runner: Runner) async throws {
        let script = """
            echo $GREETING $(hostname); cat /etc/os-release /etc/hosts; test -e /usr || echo no usr; test -e /.weft || echo no store
            test -r /proc/self/stat && test -c /dev/null && test -d /dev/shm && pwd; exit 7
            """
        let (code, log) = try await run(script, runner) { $0.directory = "/made/for/it" }
        #expect(code == 7)
        #expect(
            log == "hello pod\nNAME=test\n127.0.0.1 localhost\n10.244.1.1 pod\nno usr\nno store\n/made/for/it"
        )
    }

    @Test("a read-only root takes no writes, another one keeps them for itself", arguments: Runner.all)
    func writes(runner: Runner) async throws {
        let script = "touch /new 2>/dev/null && echo wrote; touch /dev/shm/x && echo shared"
        #expect(try await run(script, runner).log == "wrote\nshared")
        #expect(try await run(script, runner) { $0.hasReadOnlyRoot = true }.log == "shared")
    }

    @Test(
        "upper layers hide what whiteouts and opaque directories say, under an overlay and in a copy",
        .enabled(if: geteuid() == 0, "only root makes whiteouts"),
        arguments: [false, true]
    )
    func layersHide(isCopied: Bool) async throws {
        let place = Place()
        defer { place.remove() }
        let layers = try Layers(place)
        for name in ["gone", "kept", "dir/old", "dir2/under"] { try layers.write("base", name, name) }
        try layers.write("top", "dir/new", "new")
        try layers.write("top", "dir2/more", "more")
        try layers.write("top", "kept", "changed")
        mknod("\(layers.directory)/top/gone", S_IFCHR, 0)
        #expect(cweft_set_opaque("\(layers.directory)/top/dir") == 0)
        let pod = try await PodSandbox.create(layers.sandbox(place))
        var program = layers.program(
            "ls / | grep gone; cat /kept; echo; ls /dir /dir2",
            Runner(runtime: nil),
            layers: ["base", "top"]
        )
        program.image?.isCopied = isCopied
        _ = try await pod.start(program)
        #expect(await pod.exit(of: "app")?.exitCode == 0)
        _ = try await pod.containers()
        #expect(Self.texts(pod).joined(separator: " ") == "changed /dir: new  /dir2: more under")
        try await pod.remove()
    }

    @Test("volumes are mounted, a link of the image cannot lead one out of it", arguments: Runner.all)
    func volumes(runner: Runner) async throws {
        let place = Place()
        defer { place.remove() }
        let layers = try Layers(place)
        try makeDirectory("\(place.path)/data", mode: 0o755)
        try replaceFile("\(place.path)/data/file", with: "content\n", mode: 0o644)
        symlink("/somewhere/else", "\(layers.directory)/base/var")
        var spec = layers.sandbox(place)
        spec.volumes = [SandboxVolume(name: "data", source: .path("\(place.path)/data"))]
        let pod = try await PodSandbox.create(spec)
        try layers.write("base", "somewhere/else/x", "")
        var program = layers.program(
            "cat /var/data/file /one; touch /var/data/mine; touch /ro/no 2>/dev/null || echo refused",
            runner
        )
        program.mounts = [
            .init(volume: "data", subPath: "file", target: "/one"),
            .init(volume: "data", target: "/ro", isReadOnly: true),
            .init(volume: "data", target: "/var/data"),
        ]
        _ = try await pod.start(program)
        #expect(await pod.exit(of: "app")?.exitCode == 0)
        _ = try await pod.containers()
        #expect(
            Self.texts(pod) == [
                "content", "content", "refused",
            ]
        )
        #expect(access("\(place.path)/data/mine", F_OK) == 0 && access("/somewhere/else/data", F_OK) != 0)
        try await pod.remove()
    }

    @Test("a container has its user, groups, capabilities and filter", arguments: Runner.all)
    func privileges(runner: Runner) async throws {
        guard geteuid() == 0 else { return }
        let script =
            "id -u; id -g; id -G; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; echo x > /dev/stdout"
        let (code, log) = try await run(script, runner) {
            $0.user = 1234
            $0.group = 77
            $0.supplementaryGroups = [88, 99]
            $0.capabilities = []
            $0.filter = .strict
        }
        #expect(code == 0)
        let lines = log.split(separator: "\n").map { $0.replacing("\t", with: " ") }
        #expect(lines.prefix(3) == ["1234", "77", "77 88 99"])
        let none = String(repeating: "0", count: 16)
        #expect(lines.dropFirst(3) == ["CapEff: \(none)", "CapBnd: \(none)", "NoNewPrivs: 1", "Seccomp: 2", "x"])
    }

    @Test("commands run inside, signals arrive, and everything ends with the container", arguments: Runner.all)
    func lives(runner: Runner) async throws {
        let place = Place()
        defer { place.remove() }
        let layers = try Layers(place)
        let pod = try await PodSandbox.create(layers.sandbox(place))
        let number = "7\(runner.testDescription.utf8.reduce(0) { $0 * 3 + Int($1) })"
        let script = #"trap "echo asked; exit 9" QUIT; sleep NUMBER & echo up; while :; do sleep 0.02; done"#
        let program = layers.program(script.replacing("NUMBER", with: number), runner)
        _ = try await pod.start(program)
        var inside = program
        inside.arguments = ["cat", "/etc/os-release"]
        #expect(try await pod.run(inside, timeout: .seconds(20)).output == "NAME=test\n")
        while !pod.log("app").contains("up") { try await Task.sleep(for: .milliseconds(5)) }
        try await pod.signal("app", SIGQUIT)
        #expect(await pod.exit(of: "app")?.exitCode == 9)
        _ = try await pod.containers()
        #expect(pod.log("app").contains("F asked"))
        #expect(processes(holding: "sleep\u{0}\(number)").isEmpty)
        // And again, with writes of its own.
        _ = try await pod.start(layers.program("exit 3", runner, attempt: 1))
        #expect(await pod.exit(of: "app")?.exitCode == 3)
        #expect(listDirectory("\(pod.spec.directory)/writes").sorted() == ["app-0", "app-1"])
        try await pod.remove()
    }

    @Test("what cannot be started says why, and the container can be started again", arguments: Runner.all)
    func saysWhy(runner: Runner) async throws {
        let place = Place()
        defer { place.remove() }
        let layers = try Layers(place)
        let pod = try await PodSandbox.create(layers.sandbox(place))
        var wanted = layers.program("", runner)
        wanted.arguments = ["/no/such/program"]
        await #expect {
            try await pod.start(wanted)
        } throws: {
            guard let error = $0 as? SandboxError else { return false }
            return error.code == .startFailed && error.message.contains("/no/such/program")
        }
        var missing = layers.program("", runner, layers: ["base", "none"], attempt: 1)
        missing.image?.runtime = nil
        await #expect(throws: SandboxError.self) { try await pod.start(missing) }
        _ = try await pod.start(layers.program("exit 4", runner, attempt: 2))
        #expect(await pod.exit(of: "app")?.exitCode == 4)
        try await pod.remove()
    }

    @Test("the trial finds a runtime that works, and says of others why they do not")
    func trial() async throws {
        let place = Place()
        defer { place.remove() }
        let bin = "\(place.path)/bin"
        try makeDirectory(bin, mode: 0o755)
        try replaceFile("\(bin)/crun", with: "#!/bin/sh\necho crun version 9.9; test \"$1\" = --version\n", mode: 0o755)
        let none = await RuntimeSearch.find(directory: place.path, searchPath: bin)
        #expect(none.runtime == nil && none.refusals.map(\.kind) == [.crun, .runc])
        #expect(none.refusals.last?.reason == "not installed (apt-get install runc)")
        #expect(none.refusals.first?.reason.isEmpty == false)
        #expect(listDirectory(place.path) == ["bin"])
        let found = await RuntimeSearch.find(directory: place.path)
        let installed = Runner.all.compactMap { $0.runtime?.kind }
        if geteuid() == 0 { #expect(found.runtime?.kind == installed.first, "\(found.description)") }
        #expect(found.runtime.map { !$0.version.isEmpty } ?? true)
        #expect(RuntimeSearch.order("runc,weft,crun") == [.runc] && RuntimeSearch.order("docker") == nil)
    }
}
