import CWeft
import Glibc
import Sandbox
import Testing

@Suite("Pod sandbox", .enabled(if: Allowed.pods, "this machine allows no pods to this user"))
struct PodSandboxTests {
    @Test("a container's output reaches its log line by line, and its exit code is told")
    func runsAndLogs() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec("first"))
        let run = try await pod.start(program("app", "hostname; echo wrong >&2; printf unfinished; exit 3"))
        #expect(run.state == .running && run.startedAt > 0)
        let end = await pod.exit(of: "app")
        #expect(end?.exitCode == 3 && end?.signal == 0)
        let known = try await pod.containers()
        #expect(known.map(\.state) == [.exited])
        let lines = pod.log("app").split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1)[1] }
        #expect(lines.sorted() == ["stderr F wrong", "stdout F first", "stdout F unfinished"])
        try await pod.remove()
    }

    @Test(
        "a program that cannot be started says exactly why",
        arguments: [
            (["/no/such"], "/", "exec /no/such: No such file or directory"),
            (["/etc/passwd"], "/", "exec /etc/passwd: Permission denied"),
            (["no-such-program"], "/", "exec no-such-program: not found in PATH (/usr/bin:/bin)"),
            (["/bin/true"], "/no/where", "working directory /no/where: No such file or directory"),
            ([], "/", "no command: give the container a command or the image one"),
        ]
    )
    func saysWhy(arguments: [String], directory: String, message: String) async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        let wanted = ProgramSpec(
            name: "app",
            arguments: arguments,
            environment: ["PATH=/usr/bin:/bin"],
            directory: directory
        )
        await #expect(throws: SandboxError(.startFailed, message)) { try await pod.start(wanted) }
        // A container that failed can be started again.
        _ = try await pod.start(program("app", "exit 0", attempt: 1))
        try await pod.remove()
    }

    @Test("a line too long for one entry comes in parts, and a full log file makes room for a new one")
    func rotatesLogs() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        let script =
            "head -c 40000 /dev/zero | tr '\\0' x; echo; i=0; while [ $i -lt 11 ]; do "
            + "head -c 1000000 /dev/zero | tr '\\0' 'y' | fold -w 999; echo; i=$((i+1)); done"
        _ = try await pod.start(program("app", script))
        #expect(await pod.exit(of: "app")?.exitCode == 0)
        // The rest of the output is read before the next answer.
        _ = try await pod.containers()
        let old = readFile("\(pod.spec.directory)/logs/app/0.log.1", limit: 16 << 20) ?? ""
        let new = pod.log("app")
        #expect((10 << 20..<11 << 20).contains(old.utf8.count) && !new.isEmpty)
        let first = old.split(separator: "\n").prefix(3).map { $0.split(separator: " ", maxSplits: 3) }
        #expect(first.map { String($0[2]) } == ["P", "P", "F"])
        #expect(first.map { $0[3].count } == [16384, 16384, 40000 - 32768])
        #expect(new.hasSuffix("\n"))
        try await pod.remove()
    }

    @Test("a full disk costs log lines, never the container", .enabled(if: geteuid() == 0, "mounting needs root"))
    func survivesFullDisk() async throws {
        let place = Place()
        defer { place.remove() }
        let spec = place.spec()
        try makeDirectory(spec.directory)
        #expect(mount("tmpfs", spec.directory, "tmpfs", 0, "size=256k") == 0)
        defer { umount2(spec.directory, Int32(MNT_DETACH)) }
        let pod = try await PodSandbox.create(spec)
        _ = try await pod.start(
            program("app", "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done; exit 5")
        )
        #expect(await pod.exit(of: "app")?.exitCode == 5)
        let run = try #require(try await pod.containers().first)
        #expect(run.droppedLines > 1000)
        let lines = pod.log("app").split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.last == "")
        #expect(lines.dropLast().allSatisfy { $0.contains(" stdout F line ") })
        try? await pod.remove()
    }

    @Test("what a pod writes is its own, and weft's state is hidden from it")
    func isolatesFiles() async throws {
        let place = Place()
        defer { place.remove() }
        var spec = place.spec()
        spec.hiddenDirectory = "/usr/share"
        let pod = try await PodSandbox.create(spec)
        let mark = "weft-mark-\(getpid())"
        _ = try await pod.start(
            program(
                "app",
                "touch /etc/\(mark) /usr/\(mark) /tmp/\(mark) && echo wrote; ls /usr/share | wc -l; cat /etc/resolv.conf; "
                    + "ls /.weft | wc -l; echo x > /proc/sys/kernel/domainname || echo refused"
            )
        )
        _ = await pod.exit(of: "app")
        let log = pod.log("app")
        for wanted in ["F wrote\n", "F 0\n", "F nameserver 10.96.0.10\n", "F refused\n"] {
            #expect(log.contains(wanted), "\(wanted) is missing in\n\(log)")
        }
        for place in ["/etc", "/usr", "/tmp"] { #expect(access("\(place)/\(mark)", F_OK) != 0) }
        try await pod.remove()
    }

    @Test("weft's state stays hidden even inside a directory that is shown")
    func hidesStateInTrees() async throws {
        let place = Place()
        defer { place.remove() }
        try makeDirectory("\(place.path)/repository/state")
        try replaceFile("\(place.path)/repository/state/secret", with: "hidden\n", mode: 0o644)
        try replaceFile("\(place.path)/repository/code", with: "shown\n", mode: 0o644)
        chmod("\(place.path)", 0o755)
        var spec = place.spec()
        spec.trees = ["\(place.path)/repository"]
        spec.hiddenDirectory = "\(place.path)/repository/state"
        let pod = try await PodSandbox.create(spec)
        _ = try await pod.start(
            program("app", "cat code; ls state | wc -l; ls ..", directory: "\(place.path)/repository")
        )
        _ = await pod.exit(of: "app")
        let lines = pod.log("app").split(separator: "\n").map { $0.split(separator: " ").last ?? "" }
        #expect(lines == ["shown", "0", "repository"])
        try await pod.remove()
    }

    @Test("a fork bomb and a flood of output leave the pod init able to answer")
    func survivesHostileContainers() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        _ = try await pod.start(program("flood", "exec yes"))
        _ = try await pod.start(program("orphans", "while :; do (setsid true &); done"))
        for _ in 0..<20 { #expect(try await pod.containers().count == 2) }
        let answer = try await pod.run(program("flood", "echo here"), timeout: .seconds(10))
        #expect(answer.output == "here\n")
        for name in ["flood", "orphans"] { try await pod.signal(name, SIGKILL) }
        try await pod.remove()
    }

    @Test("a container has no way to the network's rules, to raw packets or to new privileges")
    func dropsPrivileges() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        _ = try await pod.start(program("app", "grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status"))
        _ = await pod.exit(of: "app")
        let log = pod.log("app")
        // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT,
        // AUDIT_WRITE, SETFCAP.
        #expect(log.contains("CapBnd:\t00000000a00405fb") && log.contains("CapEff:\t00000000a00405fb"))
        #expect(log.contains("NoNewPrivs:\t1"))
        try await pod.remove()
    }

    @Test("volumes are mounted where they are wanted, read-only when asked, and nowhere else")
    func mountsVolumes() async throws {
        let place = Place()
        defer { place.remove() }
        try makeDirectory("\(place.path)/data/inner")
        try replaceFile("\(place.path)/data/inner/file", with: "content\n", mode: 0o644)
        var spec = place.spec()
        spec.volumes = [
            SandboxVolume(name: "data", source: .path("\(place.path)/data")),
            SandboxVolume(name: "scratch", source: .memory(byteLimit: 65536, mode: 0o777, group: 0)),
        ]
        let pod = try await PodSandbox.create(spec)
        var wanted = program(
            "app",
            "cat /deep/new/inner/file /etc/only; touch /deep/new/x || echo read-only; touch /scratch/y && echo writable; "
                + "ls -A /.weft"
        )
        wanted.mounts = [
            .init(volume: "data", target: "/deep/new", isReadOnly: true),
            .init(volume: "data", subPath: "inner/file", target: "/etc/only"),
            .init(volume: "scratch", target: "/scratch"),
        ]
        _ = try await pod.start(wanted)
        _ = await pod.exit(of: "app")
        let lines = pod.log("app").split(separator: "\n").filter { $0.contains(" stdout ") }.map { $0.suffix(9) }
        #expect(lines == ["F content", "F content", "read-only", " writable"].map { $0.suffix(9) })
        #expect(access("/deep", F_OK) != 0)
        try await pod.remove()
    }

    @Test("TCP to anywhere meets the proxy's listener, and TCP to the pod itself its own")
    func redirectsConnections() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        let listener = try pod.makeSocket(domain: AF_INET, type: Int32(SOCK_STREAM.rawValue))
        defer { close(listener) }
        var any = cweft_address()
        cweft_parse_address("0.0.0.0", 15001, &any)
        #expect(cweft_listen_on(listener, &any, 8, 0) >= 0)
        let client = try await pod.connect("10.96.7.7", port: 80, until: .now + .seconds(5))
        defer { close(client) }
        #expect(await Poller.shared.wait(listener, .readable, until: .now + .seconds(5)) == .ready)
        var peer = cweft_address()
        let accepted = cweft_accept(listener, &peer)
        #expect(accepted >= 0)
        defer { close(accepted) }
        var original = cweft_address()
        #expect(cweft_original_destination(accepted, &original) >= 0)
        #expect(original.port == 80 && original.ip.0 == 10 && original.ip.3 == 7)
        await #expect(throws: SandboxError.self) {
            try await pod.connect(pod.spec.address, port: 8080, until: .now + .seconds(5))
        }
        let dns = try pod.bindDNS()
        close(dns.udp)
        close(dns.tcp)
        try await pod.remove()
    }

    @Test("commands run inside a container: exit code, output, and a limit of time")
    func runsCommands() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        _ = try await pod.start(program("app", "echo hello > /tmp/greeting; exec sleep 60"))
        let script = "until [ -s /tmp/greeting ]; do :; done; cat /tmp/greeting; exit 4"
        let first = try await pod.run(program("app", script), timeout: .seconds(5))
        #expect(first.exitCode == 4 && !first.hasTimedOut && first.output == "hello\n" && first.failure == nil)
        let slow = try await pod.run(program("app", "sleep 30"), timeout: .milliseconds(50))
        #expect(slow.hasTimedOut)
        try await pod.remove()
        await #expect(throws: SandboxError.self) { try await pod.run(program("app", "true"), timeout: .seconds(1)) }
    }

    @Test("SIGTERM reaches the program; SIGKILL takes all of its processes, daemons too")
    func signals() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        let mark = "86\(getpid() % 1000)"
        _ = try await pod.start(program("polite", "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"))
        _ = try await pod.start(
            program("stubborn", "trap '' TERM; (setsid sleep \(mark) &); while :; do sleep 0.01; done")
        )
        while !pod.log("polite").contains("up") { await Task.yield() }
        try await pod.signal("polite", SIGTERM)
        #expect(await pod.exit(of: "polite")?.exitCode == 7)
        while processes(holding: "sleep\0\(mark)").isEmpty { await Task.yield() }
        try await pod.signal("stubborn", SIGTERM)
        try await pod.signal("stubborn", SIGKILL)
        let end = await pod.exit(of: "stubborn")
        #expect(end?.signal == Int(SIGKILL) && end?.exitCode == 137)
        _ = try await pod.containers()
        while !processes(holding: "sleep\0\(mark)").isEmpty { await Task.yield() }
        try await pod.remove()
    }

    @Test("stopping leaves no process, no mount and no file")
    func stopsCleanly() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        _ = try await pod.start(program("app", "mkdir -p /tmp/a; exec sleep 4242"))
        await pod.stop(grace: .seconds(5))
        #expect(!pod.process.isAlive)
        try await pod.remove()
        #expect(access(pod.spec.directory, F_OK) != 0)
        #expect(processes(holding: "sleep\u{0}4242").isEmpty)
        #expect(!(readFile("/proc/self/mountinfo") ?? "").contains(pod.spec.directory))
    }

    @Test("what a container said at its very end stands in its log when its pod has ended")
    func lastWords() async throws {
        let place = Place()
        defer { place.remove() }
        for number in 0..<10 {
            let pod = try await PodSandbox.create(place.spec("pod\(number)"))
            _ = try await pod.start(program("app", "printf 'no end of line'"))
            #expect(await pod.exit(of: "app")?.exitCode == 0)
            await pod.end()
            #expect(!pod.process.isAlive)
            #expect(pod.log("app").contains("no end of line"))
            try await pod.remove()
        }
    }

    @Test("a killed pod init is noticed at once, and everything in the pod is gone")
    func initKilled() async throws {
        let place = Place()
        defer { place.remove() }
        let pod = try await PodSandbox.create(place.spec())
        _ = try await pod.start(program("app", "exec sleep 4343"))
        kill(pod.process.pid, SIGKILL)
        var last: SandboxEvent?
        for await event in pod.events { last = event }
        #expect(last == .ended)
        #expect(processes(holding: "sleep\u{0}4343").isEmpty)
        try await pod.remove()
    }

    @Test("a later weft finds and ends what an earlier one left, with and without a record")
    func sweepsLeftovers() async throws {
        let place = Place()
        defer { place.remove() }
        let first = try await PodSandbox.create(place.spec())
        let second = try await PodSandbox.create(place.spec())
        unlink("\(second.spec.directory)/pod.json")
        try makeDirectory("\(place.path)/pods/empty")
        let problems = await Leftovers.sweep(stateDirectory: place.path)
        #expect(problems == [])
        #expect(!first.process.isAlive && !second.process.isAlive)
        #expect(listDirectory("\(place.path)/pods").isEmpty)
        await first.kill()
        await second.kill()
    }

    @Test("a pod that cannot be made says why and leaves nothing")
    func failsCleanly() async throws {
        let place = Place()
        defer { place.remove() }
        var spec = place.spec("broken")
        spec.volumes = [SandboxVolume(name: "data", source: .path("/no/such/place"))]
        let wanted = "pod default/broken: volume data: /no/such/place: No such file or directory"
        await #expect(throws: SandboxError(.creationFailed, wanted)) { try await PodSandbox.create(spec) }
        #expect(access(spec.directory, F_OK) != 0)
        #expect(processes(holding: "weft-pod-init\0broken").isEmpty)
    }

    @Test("the check of the machine finds that pods work here")
    func checksMachine() async throws {
        let place = Place()
        defer { place.remove() }
        let findings = await MachineCheck.run(directory: place.path)
        #expect(findings.filter { $0.verdict == .missing } == [])
        #expect(findings.map(\.name).contains("nftables"))
    }
}

@Suite("Removing trees")
struct RemovalTests {
    @Test("links are not followed, and nests deeper than a path may be long are removed")
    func removesHostileTrees() throws {
        let place = Place()
        try makeDirectory("\(place.path)/kept")
        try makeDirectory("\(place.path)/tree/closed/inside")
        symlink("\(place.path)/kept", "\(place.path)/tree/link")
        chmod("\(place.path)/tree/closed", 0)
        var directory = open("\(place.path)/tree", O_RDONLY)
        for _ in 0..<3000 {
            mkdirat(directory, "nested-directory", 0o700)
            let next = openat(directory, "nested-directory", O_RDONLY)
            close(directory)
            directory = next
        }
        close(directory)
        #expect(cweft_remove_tree("\(place.path)/tree") == 0)
        #expect(access("\(place.path)/tree", F_OK) != 0)
        #expect(access("\(place.path)/kept", F_OK) == 0)
        place.remove()
    }
}

@Suite("Control groups")
struct ControlGroupsTests {
    @Test(
        "the layout is read from the mounts",
        arguments: [
            ("30 20 0:26 / /cg rw - cgroup2 none rw", "version 2, none writable"),
            ("30 20 0:26 / /cg/memory rw shared:1 - cgroup cgroup rw,memory", "version 1; writable: memory"),
            (
                "30 20 0:26 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n31 20 0:27 / /cg/u rw - cgroup2 cgroup2 rw",
                "hybrid (version 1 with a version 2 mount); writable: cpu"
            ), ("30 20 0:26 / / rw - ext4 /dev/vda rw", "none mounted, none writable"),
            ("nonsense", "none mounted, none writable"),
        ]
    )
    func layouts(mounts: String, description: String) {
        #expect(ControlGroups.find(mounts, isWritable: { _ in true }).description == description)
    }

    @Test("limits become the files of either version")
    func settings() {
        var limits = ContainerLimits()
        limits.memoryBytes = 1000
        limits.processorLimit = 250
        limits.processorShare = 1000
        func text(_ controller: String, _ isUnified: Bool) -> String {
            ControlGroups.settings(controller, limits, isUnified: isUnified).map { "\($0.file)=\($0.value)" }.joined(
                separator: " "
            )
        }
        #expect(text("memory", true) == "memory.max=1000 memory.swap.max=0 memory.oom.group=1")
        #expect(text("memory", false) == "memory.limit_in_bytes=1000 memory.memsw.limit_in_bytes=1000")
        #expect(text("cpu", true) == "cpu.weight=39 cpu.max=25000 100000")
        #expect(text("cpu", false) == "cpu.shares=1024 cpu.cfs_period_us=100000 cpu.cfs_quota_us=25000")
        #expect(text("pids", true) == "pids.max=4096")
        limits = ContainerLimits()
        #expect(
            text("memory", false) == "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1"
                && text("cpu", true) == "cpu.weight=1 cpu.max=max 100000"
        )
    }
    /// A tree of files in the shape of a version 2 hierarchy; the kernel would make the files of each directory.
    private func makeTree(_ root: String, _ places: [String]) throws {
        for place in places {
            try makeDirectory("\(root)/\(place)")
            for file in [
                "cgroup.procs", "cgroup.subtree_control", "memory.max", "memory.swap.max", "memory.oom.group",
                "pids.max",
                "cpu.max", "cpu.weight",
            ] { try replaceFile("\(root)/\(place)/\(file)", with: "") }
            try replaceFile("\(root)/\(place)/cgroup.controllers", with: "cpu io memory pids\n")
            try replaceFile("\(root)/\(place)/memory.events", with: "low 0\noom 3\noom_kill 2\noom_group_kill 1\n")
        }
    }

    @Test("version 2: controllers are handed down, limits written, kills counted")
    func unified() throws {
        let place = Place()
        defer { place.remove() }
        let root = "\(place.path)/cg"
        try makeTree(root, ["", "weft", "weft/p", "weft/p/c"])
        let groups = ControlGroups.find("30 20 0:26 / \(root) rw - cgroup2 none rw")
        #expect(Set(groups.controllers.keys) == ["memory", "pids", "cpu"])
        var limits = ContainerLimits()
        limits.memoryBytes = 1 << 20
        limits.processorLimit = 500
        #expect(groups.make(pod: "p", container: "c", limits) == ["\(root)/weft/p/c/cgroup.procs"])
        func read(_ file: String) -> String { readFile("\(root)/\(file)") ?? "" }
        for level in ["", "weft/", "weft/p/"] {
            #expect(Set(read("\(level)cgroup.subtree_control").split(separator: " ")) == ["+memory", "+pids", "+cpu"])
        }
        #expect(read("weft/p/c/memory.max") == "1048576" && read("weft/p/c/memory.swap.max") == "0")
        #expect(read("weft/p/c/cpu.max") == "50000 100000" && read("weft/p/c/pids.max") == "4096")
        #expect(groups.memoryKills(pod: "p", container: "c") == 2)
        #expect(groups.make(pod: "../x", container: "c", limits).isEmpty)
    }

    @Test("version 2: an ordinary user has what the service manager handed over, and nothing above it")
    func delegated() throws {
        let place = Place()
        defer { place.remove() }
        let root = "\(place.path)/cg"
        try makeTree(root, ["", "user.slice", "user.slice/user@7.service", "user.slice/user@7.service/app.scope"])
        let mounts = "30 20 0:26 / \(root) rw - cgroup2 none rw"
        let own = "0::/user.slice/user@7.service/app.scope\n"
        let groups = ControlGroups.find(mounts, own: own) { $0.contains("user@7.service") }
        #expect(groups.controllers["memory"] == "\(root)/user.slice/user@7.service")
        #expect(ControlGroups.find(mounts, own: own) { _ in false }.controllers.isEmpty)
        #expect(ControlGroups.find(mounts, own: "0::/../../etc\n") { $0.hasSuffix("etc") }.controllers.isEmpty)
    }
}
