import Glibc
import Resources
import Sandbox

// What a container leaves as its last words: the file at `terminationMessagePath`.
extension PodWorker {
    /// Kubernetes' bounds: of the file, and of a log in its place.
    private static let messageLimit = 4096
    private static let logLimit = 2048
    private static let logLineLimit = 80

    /// All of a pod's files together, in its own memory: no container fills a disk with last words.
    private static let memoryLimit = 64 << 10
    /// A dot is in no volume's name: nothing of the user's can be meant.
    private static let messageVolume = "messages.weft"

    private func messageFile(_ container: String) -> String { "\(memory(of: Self.messageVolume))/\(container)" }

    /// The volume in which containers leave their last words.
    var messages: SandboxVolume {
        let source = SandboxVolume.Source.memory(byteLimit: Self.memoryLimit, mode: 0o755, group: 0)
        return SandboxVolume(name: Self.messageVolume, source: source)
    }

    /// Makes the files of a pod that has just been made.
    func makeMessageFiles() throws(SandboxError) {
        for container in spec.initContainers + spec.containers {
            try replaceFile(messageFile(container.name), with: "", mode: 0o666)
        }
    }

    /// Where a container finds its file; nil when a volume of its own stands there, or the path is none.
    func messageMount(of container: Container) -> ProgramSpec.Mount? {
        let path = container.terminationMessagePath
        guard path.hasPrefix("/"), path.utf8.count < 1024, !path.utf8.contains(10),
            !container.volumeMounts.contains(where: { $0.mountPath == path }),
            access(messageFile(container.name), F_OK) == 0
        else { return nil }
        return ProgramSpec.Mount(volume: Self.messageVolume, subPath: container.name, target: path)
    }

    /// A new run begins without the words of the one before.
    func clearMessage(of container: String) { truncate(messageFile(container), 0) }

    /// The last words of a run that ended; nil when there are none.
    func message(of container: Container, _ run: ContainerRun?, _ sandbox: PodSandbox) async -> String? {
        let text = readFile(messageFile(container.name), limit: Self.messageLimit) ?? ""
        if !text.isEmpty { return String(decoding: text.utf8.prefix(Self.messageLimit), as: UTF8.self) }
        guard let run, run.exitCode != 0, container.fallsBackToLog else { return nil }
        // The exit is told before the last output is written; whoever has an answer to this has that too.
        _ = try? await sandbox.containers()
        let path = "\(directory)/\(ProgramSpec.log(of: container.name, attempt: run.attempt))"
        return LogTail.words(of: path, lines: Self.logLineLimit, bytes: Self.logLimit)
    }
}

extension LogTail {
    /// The texts of a log's last lines, without stamps and streams; nil when there are none.
    static func words(of path: String, lines: Int, bytes: Int) -> String? {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        defer { close(fd) }
        // Stamps take some 40 bytes of each line.
        let window = bytes + lines * 48 + 256
        let size = Int(lseek(fd, 0, SEEK_END))
        var buffer = [UInt8](repeating: 0, count: window)
        let start = max(size - window, 0)
        let count = pread(fd, &buffer, window, off_t(start))
        guard count > 0 else { return nil }
        var text: [UInt8] = []
        for line in buffer[..<count].split(separator: 10).dropFirst(start > 0 ? 1 : 0).suffix(lines) {
            let parts = line.split(separator: 32, maxSplits: 3, omittingEmptySubsequences: false)
            guard parts.count == 4 else { continue }
            text += parts[3]
            if parts[2].elementsEqual([UInt8(ascii: "F")]) { text.append(10) }
        }
        return text.isEmpty ? nil : String(decoding: text.suffix(bytes), as: UTF8.self)
    }
}
