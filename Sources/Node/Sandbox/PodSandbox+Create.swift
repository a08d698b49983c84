import CWeft
import Glibc

extension PodSandbox {
    /// How long the making of a pod may take on a machine under load.
    private static let creationPatience: Duration = .seconds(30)

    /// Makes a pod: namespaces, network, root, and a pod init that waits for containers to start.
    ///
    /// Leaves nothing behind when it fails; a directory that was there before stays.
    package static func create(_ spec: SandboxSpec) async throws(SandboxError) -> PodSandbox {
        let isNew = access(spec.directory, F_OK) != 0
        try makeDirectory(spec.directory)
        for place in [spec.layersDirectory, spec.writesDirectory].compactMap(\.self) { try makeDirectory(place) }
        do throws(SandboxError) {
            let pid = try await spawn(spec)
            return try await attach(spec, pid: pid)
        } catch {
            if isNew { try? Leftovers.remove(spec.directory) }
            throw error
        }
    }

    private static func settings(_ spec: SandboxSpec) -> Row {
        var row = Row()
        row.add("name", "\(spec.namespace)/\(spec.name)")
        row.add("hostname", String(spec.hostname.prefix(64)))
        row.add("pod-dir", spec.directory)
        row.add("hide", spec.hiddenDirectory)
        row.add("ip", spec.address)
        row.add("dns", spec.dnsAddress)
        row.add("port", String(spec.proxyPort))
        row.add("users", geteuid() == 0 ? "identity" : "single")
        if spec.isolation == .none { row.add("isolation", "none") }
        for (container, files) in spec.groups {
            for file in files { row.add("group", "\(container)\n\(file)") }
        }
        if let layers = spec.layersDirectory { row.add("layers", layers) }
        if let writes = spec.writesDirectory { row.add("writes", writes) }
        for tree in spec.trees { row.add("tree", tree) }
        for volume in spec.volumes {
            switch volume.source {
            case .path(let path): row.add("volume", "\(volume.name)\n\(path)")
            case .memory(let limit, let mode, let group):
                let size = limit.map { String($0) } ?? ""
                row.add("volume", "\(volume.name)\ntmpfs:\(size):\(String(mode, radix: 8)):\(group)")
            }
        }
        for file in spec.files { row.add("file", "\(file.path)\n\(file.content)") }
        return row
    }

    /// Starts the pod init and waits until it serves. Returns its process.
    private static func spawn(_ spec: SandboxSpec) async throws(SandboxError) -> Int32 {
        let row = settings(spec).bytes
        var helper: pid_t = 0
        var report: Int32 = -1
        let error = row.withUnsafeBytes { bytes in
            cweft_pod_spawn(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, &helper, &report)
        }
        let pod = "pod \(spec.namespace)/\(spec.name)"
        guard error == 0 else {
            throw SandboxError(.creationFailed, "\(pod): cannot start its init: \(SandboxError.text(error))")
        }
        defer { close(report) }
        let lines = await readReport(report)
        // The helper ends as soon as the pod init has been told to go on.
        var status: Int32 = 0
        waitpid(helper, &status, 0)
        let pid = lines.lazy.compactMap { $0.hasPrefix("pid ") ? Int32($0.dropFirst(4)) : nil }.first
        if lines.contains("ready"), let pid { return pid }
        if let pid {
            _ = Glibc.kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
        }
        let reason = lines.lazy.compactMap { $0.hasPrefix("error ") ? String($0.dropFirst(6)) : nil }.first
        throw SandboxError(.creationFailed, "\(pod): \(reason ?? "its init ended or did not answer in time")")
    }

    /// The lines of the report, until `ready`, an error or its end.
    static func readReport(_ report: Int32) async -> [String] {
        let deadline = ContinuousClock.now + creationPatience
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1024)
        while await Poller.shared.wait(report, .readable, until: deadline) == .ready {
            let count = read(report, &chunk, chunk.count)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return bytes.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func attach(_ spec: SandboxSpec, pid: Int32) async throws(SandboxError) -> PodSandbox {
        guard let process = ProcessIdentity.current(pid) else {
            throw SandboxError(.creationFailed, "pod \(spec.namespace)/\(spec.name): its init ended at once")
        }
        do throws(SandboxError) {
            try PodRecord(spec: spec, process: process).write(to: spec.directory)
            let pidfd = cweft_pidfd_open(pid)
            let control = cweft_pod_connect("\(spec.directory)/control.sock", Int32(SOCK_STREAM.rawValue))
            guard pidfd >= 0, control >= 0 else {
                if pidfd >= 0 { close(pidfd) }
                if control >= 0 { close(control) }
                let why = SandboxError.text(-min(pidfd, control))
                throw SandboxError(.creationFailed, "pod \(spec.namespace)/\(spec.name): cannot reach its init: \(why)")
            }
            let sandbox = PodSandbox(spec: spec, process: process, pidfd: pidfd, control: control)
            await sandbox.listen()
            return sandbox
        } catch {
            var status: Int32 = 0
            _ = Glibc.kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
            throw error
        }
    }
}
