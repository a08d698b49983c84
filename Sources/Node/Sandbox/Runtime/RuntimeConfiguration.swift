import CWeft
import Wire

/// The `config.json` of a container's bundle, for crun and runc.
///
/// The pod's namespaces are those in which the runtime is started: it makes no other than that of mounts. Its sources are
/// what `pod_image.c` has put in their places: the root, and the volumes by their number.
///
/// Pure.
enum RuntimeConfiguration {
    private static let place = "/.weft/.own"

    static func text(of program: ProgramSpec) -> String { JSON.write(value(of: program)) }

    static func value(of program: ProgramSpec) -> Value {
        var linux: Value = ["namespaces": [["type": "mount"]]]
        linux["seccomp"] = filter(program.filter)
        return [
            "ociVersion": "1.0.2",
            "process": process(program),
            "root": ["path": .string("\(place)/root"), "readonly": .bool(program.hasReadOnlyRoot)],
            "mounts": .array(mounts(program)),
            "linux": linux,
        ]
    }

    private static func process(_ program: ProgramSpec) -> Value {
        var user: Value = ["uid": .int(Int64(program.user)), "gid": .int(Int64(program.group))]
        if !program.supplementaryGroups.isEmpty {
            user["additionalGids"] = .array(program.supplementaryGroups.map { .int(Int64($0)) })
        }
        let bounding = names(program.capabilities)
        let held = program.user == 0 ? bounding : []
        var process: Value = [
            "terminal": false,
            "user": user,
            "args": .array(program.arguments.map { .string($0) }),
            "env": .array(program.environment.map { .string($0) }),
            "cwd": .string(program.directory.hasPrefix("/") ? program.directory : "/"),
            "noNewPrivileges": true,
            "capabilities": ["bounding": .array(bounding), "effective": .array(held), "permitted": .array(held)],
        ]
        if let score = program.image?.outOfMemoryScore { process["oomScoreAdj"] = .int(Int64(score)) }
        return process
    }

    private static func names(_ capabilities: Capabilities) -> [Value] {
        capabilities.names.map { .string("CAP_\($0)") }
    }

    private static func mounts(_ program: ProgramSpec) -> [Value] {
        // The pod's own views: what of the kernel's files is closed or read-only is so in them already.
        var mounts = ["/proc", "/dev", "/sys"].map { bind($0, $0, ["rbind"]) }
        for file in ["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"] { mounts.append(bind(file, file, ["bind"])) }
        for (number, mount) in program.mounts.enumerated() {
            let mode = mount.isReadOnly ? ["rbind", "ro"] : ["rbind", "rw"]
            mounts.append(bind("\(place)/m/\(number)", mount.target, mode))
        }
        return mounts
    }

    private static func bind(_ source: String, _ target: String, _ options: [String]) -> Value {
        [
            "destination": .string(target), "type": "bind", "source": .string(source),
            "options": .array((options + ["rprivate"]).map { .string($0) }),
        ]
    }

    // MARK: System calls

    /// Namespaces that `clone` may not make under `strict`: mount, cgroup, UTS, IPC, user, PID, network.
    private static let cloneFlags: [Int64] = [
        0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ]

    private static func filter(_ filter: SystemCallFilter) -> Value? {
        guard filter != .off else { return nil }
        let isStrict = filter == .strict
        var refused: [Value] = []
        while let name = cweft_refused_call(isStrict ? 1 : 0, refused.count) {
            refused.append(.string(String(cString: name)))
        }
        // An unknown architecture has no table.
        guard !refused.isEmpty else { return nil }
        var rules = [rule(refused, error: 1)]
        if isStrict {
            rules.append(rule(["clone3"], error: 38))
            for flag in cloneFlags {
                var clone = rule(["clone"], error: 1)
                clone["args"] = [
                    ["index": 0, "value": .int(flag), "valueTwo": .int(flag), "op": "SCMP_CMP_MASKED_EQ"]
                ]
                rules.append(clone)
            }
        }
        #if arch(x86_64)
            let architectures: Value = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
        #else
            let architectures: Value = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
        #endif
        return ["defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": .array(rules)]
    }

    private static func rule(_ names: [Value], error: Int64) -> Value {
        ["names": .array(names), "action": "SCMP_ACT_ERRNO", "errnoRet": .int(error)]
    }
}
