import Glibc

/// What a pod writes down about itself, so that a later weft can find its process: `pod.json` in its directory.
struct PodRecord: Equatable {
    let namespace: String
    let name: String
    let uid: String
    let address: String
    let process: ProcessIdentity
    let isolation: Isolation
    /// Names the run of the machine: start times begin anew with each.
    let boot: String

    init(spec: SandboxSpec, process: ProcessIdentity) {
        namespace = spec.namespace
        name = spec.name
        uid = spec.uid
        address = spec.address
        self.process = process
        isolation = spec.isolation
        boot = Self.currentBoot
    }

    /// Reads the record of a directory; nil when there is none, when it is damaged, or from before the machine started.
    static func read(_ directory: String) -> PodRecord? {
        guard let text = readFile(path(directory), limit: 4096) else { return nil }
        let record = PodRecord(Array(text.utf8))
        return record?.boot == currentBoot ? record : nil
    }

    private init?(_ bytes: [UInt8]) {
        guard let namespace = Self.text("namespace", in: bytes), let name = Self.text("name", in: bytes),
            let uid = Self.text("uid", in: bytes), let address = Self.text("address", in: bytes),
            let boot = Self.text("boot", in: bytes),
            let pid = Self.number("pid", in: bytes).flatMap(Int32.init(exactly:)),
            let start = Self.number("startTime", in: bytes)
        else { return nil }
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.address = address
        self.boot = boot
        isolation = Self.text("isolation", in: bytes).flatMap { Isolation(rawValue: $0) } ?? .namespaces
        process = ProcessIdentity(pid: pid, startTime: start)
    }

    func write(to directory: String) throws(SandboxError) {
        let text = """
            {"namespace":"\(namespace)","name":"\(name)","uid":"\(uid)","address":"\(address)",\
            "pid":\(process.pid),"startTime":\(process.startTime),"boot":"\(boot)",\
            "isolation":"\(isolation.rawValue)"}

            """
        try replaceFile(Self.path(directory), with: text)
    }

    private static func path(_ directory: String) -> String { "\(directory)/pod.json" }

    private static let currentBoot = String(
        (readFile("/proc/sys/kernel/random/boot_id", limit: 64) ?? "").prefix { !$0.isWhitespace }
    )

    // The values are names, addresses and numbers: none holds a quote or a backslash.

    private static func value(_ key: String, in bytes: [UInt8]) -> ArraySlice<UInt8>? {
        let wanted = Array("\"\(key)\":".utf8)
        guard bytes.count > wanted.count else { return nil }
        for start in 0..<(bytes.count - wanted.count) where bytes[start...].starts(with: wanted) {
            return bytes[(start + wanted.count)...]
        }
        return nil
    }

    private static func number(_ key: String, in bytes: [UInt8]) -> UInt64? {
        value(key, in: bytes).flatMap { UInt64(String(decoding: $0.prefix { (48...57).contains($0) }, as: UTF8.self)) }
    }

    private static func text(_ key: String, in bytes: [UInt8]) -> String? {
        let quote = UInt8(ascii: "\"")
        guard let value = value(key, in: bytes), value.first == quote else { return nil }
        let rest = value.dropFirst()
        guard let end = rest.firstIndex(of: quote) else { return nil }
        return String(decoding: rest[..<end], as: UTF8.self)
    }
}
