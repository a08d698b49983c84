import CWeft
import Glibc

/// What a pod writes down about itself, so that a later weft can find its process: `pod.json` in its directory.
struct PodRecord: Equatable {
    let namespace: String
    let name: String
    let uid: String
    let address: String
    let process: ProcessIdentity

    init(spec: SandboxSpec, process: ProcessIdentity) {
        namespace = spec.namespace
        name = spec.name
        uid = spec.uid
        address = spec.address
        self.process = process
        directory = spec.directory
    }

    private let directory: String

    func write() throws(SandboxError) {
        let text = """
            {"namespace":"\(namespace)","name":"\(name)","uid":"\(uid)","address":"\(address)",\
            "pid":\(process.pid),"startTime":\(process.startTime)}

            """
        try replaceFile("\(directory)/pod.json", with: text)
    }

    /// The process that a record names; nil when there is no record or it cannot be read.
    static func process(in directory: String) -> ProcessIdentity? {
        guard let text = readFile("\(directory)/pod.json", limit: 4096) else { return nil }
        guard let pid = number("pid", in: text).flatMap(Int32.init(exactly:)), let start = number("startTime", in: text)
        else { return nil }
        return ProcessIdentity(pid: pid, startTime: start)
    }

    private static func number(_ key: String, in text: String) -> UInt64? {
        let bytes = Array(text.utf8)
        let wanted = Array("\"\(key)\":".utf8)
        guard bytes.count > wanted.count else { return nil }
        for start in 0..<(bytes.count - wanted.count) where bytes[start...].starts(with: wanted) {
            let digits = bytes[(start + wanted.count)...].prefix { (48...57).contains($0) }
            return UInt64(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }
}

/// Ends and removes the pods of a weft that is no more.
package enum Leftovers {
    /// Ends every pod below `STATE/pods` and removes its directory. Call before the first pod is made.
    ///
    /// - Returns: what could not be ended or removed, each with its reason; empty when all is clean.
    @discardableResult
    package static func sweep(stateDirectory: String) async -> [String] {
        let pods = "\(stateDirectory)/pods"
        var problems: [String] = []
        let groups = ControlGroups.ofThisMachine
        for uid in listDirectory(pods) {
            let directory = "\(pods)/\(uid)"
            if let process = findInit(directory), !(await end(process)) {
                problems.append("the pod init \(process.pid) of \(directory) does not end")
                continue
            }
            await groups.remove(pod: uid)
            do { try remove(directory) } catch { problems.append(error.message) }
        }
        return problems
    }

    /// The pod init that serves a directory: by its record, else by asking who listens on its socket.
    private static func findInit(_ directory: String) -> ProcessIdentity? {
        if let recorded = PodRecord.process(in: directory), recorded.isAlive { return recorded }
        let socket = cweft_pod_connect("\(directory)/control.sock", Int32(SOCK_STREAM.rawValue))
        guard socket >= 0 else { return nil }
        defer { close(socket) }
        let pid = cweft_peer_process(socket)
        guard pid > 1, readFile("/proc/\(pid)/comm", limit: 64) == "weft-pod-init\n" else { return nil }
        return ProcessIdentity.current(pid)
    }

    private static func end(_ process: ProcessIdentity) async -> Bool {
        let pidfd = cweft_pidfd_open(process.pid)
        guard pidfd >= 0 else { return !process.isAlive }
        defer { close(pidfd) }
        // The descriptor holds whatever has the number now; the start time tells whether that is the one.
        guard process.isAlive else { return true }
        _ = cweft_pidfd_signal(pidfd, SIGKILL)
        return await Poller.shared.wait(pidfd, .readable, until: .now + .seconds(10)) == .ready
    }

    package static func remove(_ path: String) throws(SandboxError) {
        let error = cweft_remove_tree(path)
        guard error != 0 else { return }
        throw SandboxError(.refused, "cannot remove \(path): \(SandboxError.text(error))")
    }
}
