import CWeft
import Glibc

/// One thing that this machine must be able to do, and whether it can.
package struct MachineFinding: Sendable, Equatable {
    package enum Verdict: String, Sendable {
        case ok
        /// Weft runs without it; `detail` says what is missing then.
        case limited
        case missing
    }

    package let name: String
    package let verdict: Verdict
    /// What was found.
    package let detail: String
    /// What to do about it; empty when all is well.
    package let remedy: String

    package init(_ name: String, _ verdict: Verdict, _ detail: String, remedy: String = "") {
        self.name = name
        self.verdict = verdict
        self.detail = detail
        self.remedy = remedy
    }
}

/// Finds out what of this machine works, by trying it.
package enum MachineCheck {
    /// All findings, the fundamental ones first. Makes a trial pod below `directory` and removes it.
    /// Without `isolation` namespaces are of no need, and nothing is tried.
    package static func run(directory: String, isolation: Isolation = .namespaces) async -> [MachineFinding] {
        guard isolation == .namespaces else { return [kernel(), noIsolation, controlGroups()] }
        var findings = [kernel(), await userNamespaces()]
        // Without namespaces a trial pod would only say the same in other words.
        if findings[1].verdict != .missing { findings += await trialPod(directory) }
        findings.append(controlGroups())
        return findings
    }

    private static let noIsolation = MachineFinding(
        "isolation",
        .limited,
        "none: pods are plain processes on this machine's network and files",
        remedy: "for isolated pods: weft down, then weft up --isolation=namespaces"
    )

    /// What to do where pods' namespaces cannot be made, from the system's error and its settings.
    static func namespaceRemedy(_ error: Int32) -> String {
        let other = "or run without isolation: weft up --isolation=none"
        let isRoot = geteuid() == 0
        if setting("/proc/sys/user/max_user_namespaces") == 0 {
            return
                "as root: sysctl -w user.max_user_namespaces=65536, and the same line in /etc/sysctl.d/weft.conf; \(other)"
        }
        if !isRoot, setting("/proc/sys/kernel/unprivileged_userns_clone") == 0 {
            return "as root: sysctl -w kernel.unprivileged_userns_clone=1, or run weft as root; \(other)"
        }
        if !isRoot, setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1 {
            return
                "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run weft as root; \(other)"
        }
        switch error {
        case ENOSPC:
            return
                "a limit of namespaces is reached: as root: sysctl -w user.max_user_namespaces=65536 (and the other "
                + "user.max_*_namespaces), in this container and around it; \(other)"
        case EPERM, EACCES:
            return
                "a container's seccomp or security profile forbids them: docker run --security-opt seccomp=unconfined "
                + "--security-opt apparmor=unconfined (Kubernetes: seccompProfile Unconfined); \(other)"
        case EINVAL, ENOSYS: return "the kernel is built without them; \(other)"
        default: return other
        }
    }

    /// `mount_setattr`, with which a pod's views are made read-only, came with 5.12.
    static func kernel(release: String? = readFile("/proc/sys/kernel/osrelease", limit: 256)) -> MachineFinding {
        let text = (release ?? "").split(whereSeparator: \.isWhitespace).first.map(String.init) ?? "unknown"
        let numbers = text.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
        guard let major = numbers.first, let minor = numbers.dropFirst().first else {
            return MachineFinding(
                "kernel",
                .missing,
                "release \(text) cannot be read",
                remedy: "run weft on Linux 5.12 or newer"
            )
        }
        guard (major, minor) >= (5, 12) else {
            return MachineFinding(
                "kernel",
                .missing,
                "Linux \(text)",
                remedy: "update to Linux 5.12 or newer (Debian 12 has 6.1)"
            )
        }
        return MachineFinding("kernel", .ok, "Linux \(text)")
    }

    private static func userNamespaces() async -> MachineFinding {
        let name = "user namespaces"
        if let obstacle = await Isolation.obstacle() {
            let limit = setting("/proc/sys/user/max_user_namespaces") == 0 ? " (user.max_user_namespaces is 0)" : ""
            return MachineFinding(name, .missing, obstacle.detail + limit, remedy: obstacle.remedy)
        }
        let detail = geteuid() == 0 ? "as root: every user id" : "as user \(geteuid()): one user id per pod"
        return MachineFinding(name, .ok, detail)
    }

    private static func setting(_ path: String) -> Int? {
        readFile(path, limit: 64).flatMap { Int($0.split(whereSeparator: \.isWhitespace).first ?? "") }
    }

    /// A real pod tells more than any list of features.
    private static func trialPod(_ directory: String) async -> [MachineFinding] {
        let place = "\(directory)/check-\(getpid())"
        var spec = SandboxSpec(
            namespace: "weft",
            name: "check",
            uid: "check",
            directory: place,
            hiddenDirectory: directory,
            address: "10.244.255.254"
        )
        spec.files = [SandboxFile(path: "/etc/resolv.conf", content: "nameserver \(spec.dnsAddress)\n")]
        let start = ContinuousClock.now
        let pod: PodSandbox
        do throws(SandboxError) { pod = try await PodSandbox.create(spec) } catch { return failed(error) }
        let elapsed = (ContinuousClock.now - start).milliseconds
        var findings = [
            MachineFinding("pods", .ok, "user, mount, network, PID, UTS and IPC namespaces in \(elapsed) ms"),
            MachineFinding("nftables", .ok, "outgoing TCP of a pod is redirected to the proxy"),
        ]
        do throws(SandboxError) {
            let sockets = try pod.bindDNS()
            close(sockets.udp)
            close(sockets.tcp)
            findings.append(MachineFinding("name server", .ok, "sockets on \(spec.dnsAddress):53 in a pod"))
            findings.append(await overlay(pod))
        } catch {
            findings.append(
                MachineFinding("name server", .missing, error.message, remedy: "report this as a bug of weft")
            )
        }
        do throws(SandboxError) { try await pod.remove() } catch {
            findings.append(MachineFinding("removal", .missing, error.message, remedy: "remove \(place) by hand"))
        }
        return findings
    }

    private static func overlay(_ pod: PodSandbox) async -> MachineFinding {
        let name = "overlay file system"
        let probe = ProgramSpec(
            name: "check",
            arguments: ["/bin/sh", "-c", ": > /usr/.weft-check"],
            environment: [],
            directory: "/"
        )
        do throws(SandboxError) { _ = try await pod.start(probe) } catch {
            return MachineFinding(
                name,
                .missing,
                error.message,
                remedy: "pods need /bin/sh for this check: install dash"
            )
        }
        for await event in pod.events {
            guard case .exited(let run) = event, run.exitCode == 0 else { break }
            return MachineFinding(name, .ok, "what a pod writes stays its own")
        }
        return MachineFinding(
            name,
            .limited,
            "the host's directories are read-only in pods",
            remedy: "load the kernel module: modprobe overlay"
        )
    }

    private static func failed(_ error: SandboxError) -> [MachineFinding] {
        let isNetwork = error.message.contains("nftables") || error.message.contains("netfilter")
        let remedy =
            isNetwork
            ? "load the kernel modules as root: modprobe -a nf_tables nft_chain_nat nft_redir"
            : "allow namespaces to this user (in a container: run it with the capability SYS_ADMIN), or run weft as root"
        return [MachineFinding(isNetwork ? "nftables" : "pods", .missing, error.message, remedy: remedy)]
    }

    private static func controlGroups() -> MachineFinding {
        let name = "control groups"
        let found = ControlGroups.ofThisMachine
        let detail = found.description
        guard !found.controllers.isEmpty else {
            return MachineFinding(
                name,
                .limited,
                "\(detail); limits of memory, CPU and processes are not enforced",
                remedy: "run weft as root, or under systemd with Delegate=yes"
            )
        }
        return MachineFinding(name, .ok, detail)
    }
}
