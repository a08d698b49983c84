import CWeft
import Glibc
import Sandbox
import Synchronization

/// A temporary directory for one test and the pods in it.
struct Place {
    let path: String

    init() {
        var template = Array("/tmp/weft-sandbox-XXXXXX\0".utf8CString)
        path = String(cString: mkdtemp(&template))
    }

    func remove() { cweft_remove_tree(path) }

    private static let counter = Atomic<Int>(1)

    func spec(_ name: String = "pod") -> SandboxSpec {
        let number = Self.counter.add(1, ordering: .relaxed).newValue
        var spec = SandboxSpec(
            namespace: "default",
            name: name,
            uid: "uid-\(number)",
            directory: "\(path)/pods/uid-\(number)",
            hiddenDirectory: path,
            address: "10.244.1.\(number % 250 + 1)"
        )
        spec.files = [SandboxFile(path: "/etc/resolv.conf", content: "nameserver 10.96.0.10\n")]
        return spec
    }
}

/// Whether this machine allows pods to this user: tried once.
enum Allowed {
    static let reason: String? = {
        let place = Place()
        defer { place.remove() }
        let box = Mutex<String?>("not tried")
        let done = DispatchlessSemaphore()
        let spec = place.spec("trial")
        Task.detached {
            do {
                let pod = try await PodSandbox.create(spec)
                try await pod.remove()
                box.withLock { $0 = nil }
            } catch { box.withLock { $0 = "\(error)" } }
            done.signal()
        }
        done.wait()
        return box.withLock { $0 }
    }()

    static var pods: Bool { reason == nil }
}

/// A semaphore over a pipe: the trial runs in a task, its answer is needed before the tests are chosen.
struct DispatchlessSemaphore: Sendable {
    private let ends: [Int32]

    init() {
        var fds: [Int32] = [0, 0]
        pipe(&fds)
        ends = fds
    }

    func signal() {
        var byte: UInt8 = 1
        _ = write(ends[1], &byte, 1)
    }

    func wait() {
        var byte: UInt8 = 0
        _ = read(ends[0], &byte, 1)
        ends.forEach { close($0) }
    }
}

func program(_ name: String, _ script: String, attempt: Int = 0, directory: String = "/") -> ProgramSpec {
    ProgramSpec(
        name: name,
        attempt: attempt,
        arguments: ["/bin/sh", "-c", script],
        environment: ["PATH=/usr/local/bin:/usr/bin:/bin"],
        directory: directory
    )
}

extension PodSandbox {
    /// Waits for the exit of a container.
    func exit(of name: String) async -> ContainerRun? {
        for await event in events {
            if case .exited(let run) = event, run.name == name { return run }
        }
        return nil
    }

    nonisolated func log(_ name: String, attempt: Int = 0) -> String {
        readFile("\(spec.directory)/\(ProgramSpec.log(of: name, attempt: attempt))") ?? ""
    }
}

/// Processes of the machine whose command line holds a text.
func processes(holding text: String) -> [Int32] {
    listDirectory("/proc").compactMap { name in
        guard let pid = Int32(name), let line = readFile("/proc/\(pid)/cmdline", limit: 8192) else { return nil }
        return line.contains(text) ? pid : nil
    }
}
