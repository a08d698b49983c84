/// The privileges of root that a container may have, as the kernel numbers them (`capabilities(7)`).
package struct Capabilities: OptionSet, Sendable, Hashable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(number: UInt64) { rawValue = 1 << number }

    private static let numbers: [String: UInt64] = [
        "CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6,
        "SETUID": 7, "SETPCAP": 8, "LINUX_IMMUTABLE": 9, "NET_BIND_SERVICE": 10, "NET_BROADCAST": 11, "NET_ADMIN": 12,
        "NET_RAW": 13, "IPC_LOCK": 14, "IPC_OWNER": 15, "SYS_MODULE": 16, "SYS_RAWIO": 17, "SYS_CHROOT": 18,
        "SYS_PTRACE": 19, "SYS_PACCT": 20, "SYS_ADMIN": 21, "SYS_BOOT": 22, "SYS_NICE": 23, "SYS_RESOURCE": 24,
        "SYS_TIME": 25, "SYS_TTY_CONFIG": 26, "MKNOD": 27, "LEASE": 28, "AUDIT_WRITE": 29, "AUDIT_CONTROL": 30,
        "SETFCAP": 31, "MAC_OVERRIDE": 32, "MAC_ADMIN": 33, "SYSLOG": 34, "WAKE_ALARM": 35, "BLOCK_SUSPEND": 36,
        "AUDIT_READ": 37, "PERFMON": 38, "BPF": 39, "CHECKPOINT_RESTORE": 40,
    ]

    private static func named(_ names: [String]) -> Capabilities {
        names.reduce(into: []) { set, name in
            if let number = numbers[name] { set.insert(Capabilities(number: number)) }
        }
    }

    /// By name, with or without `CAP_`, in any case; nil for a name that does not exist.
    package init?(_ name: String) {
        let upper = name.uppercased()
        guard let number = Self.numbers[upper.hasPrefix("CAP_") ? String(upper.dropFirst(4)) : upper] else {
            return nil
        }
        self.init(number: number)
    }

    /// The names, without `CAP_`, sorted.
    package var names: [String] {
        Self.numbers.filter { rawValue >> $0.value & 1 == 1 }.keys.sorted()
    }

    /// What a container gets that asks for nothing. Nothing here reaches another namespace or raw packets.
    package static let usual = named([
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
        "SETFCAP", "SYS_CHROOT", "AUDIT_WRITE",
    ])

    /// What a container may ask for. What is missing would let it undo the pod's own walls: its mounts (SYS_ADMIN), its
    /// init (SYS_PTRACE), or means nothing in a pod.
    package static let allowed = usual.union(
        named([
            "NET_ADMIN", "NET_RAW", "NET_BROADCAST", "IPC_LOCK", "IPC_OWNER", "SYS_NICE", "SYS_RESOURCE", "LEASE",
            "MKNOD", "LINUX_IMMUTABLE", "DAC_READ_SEARCH", "SYS_TTY_CONFIG", "WAKE_ALARM",
        ])
    )
}

/// Which system calls a container is refused.
package enum SystemCallFilter: String, Sendable {
    /// Those that no container has a use for.
    case standard
    /// Kubernetes' `RuntimeDefault`: namespaces and mounts too.
    case strict
    case off
}
