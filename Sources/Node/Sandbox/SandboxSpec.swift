/// What a pod is made of.
package struct SandboxSpec: Sendable {
    package var namespace: String
    package var name: String
    package var uid: String
    package var hostname: String
    /// The pod's directory: sockets, logs, its record. Made when it is missing, removed with the pod.
    package var directory: String
    /// Weft's state directory: hidden from the pod's containers.
    package var hiddenDirectory: String
    /// The pod's IPv4 address.
    package var address: String
    /// Where the pod's name server answers.
    package var dnsAddress = "10.96.0.10"
    /// The port of the proxy's listener in the pod.
    package var proxyPort = 15001
    /// Directories of images, which have to be shown although they lie in /tmp or /run.
    package var trees: [String] = []
    /// The directory with the layers of images; containers of the pod can be made of what lies in it, now or later.
    package var layersDirectory: String?
    /// The directory for what containers of such images write; without one it stays in memory.
    package var writesDirectory: String?
    package var volumes: [SandboxVolume] = []
    package var files: [SandboxFile] = []
    package var isolation = Isolation.namespaces
    /// `cgroup.procs` files that each container's processes join, by the container's name.
    package var groups: [String: [String]] = [:]

    package init(
        namespace: String,
        name: String,
        uid: String,
        directory: String,
        hiddenDirectory: String,
        address: String
    ) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        hostname = name
        self.directory = directory
        self.hiddenDirectory = hiddenDirectory
        self.address = address
    }
}

/// A directory or file of the host, or memory, that containers of the pod may mount by its name.
package struct SandboxVolume: Sendable {
    package enum Source: Sendable, Equatable {
        case path(String)
        case memory(byteLimit: Int?, mode: Int, group: Int)
    }

    package let name: String
    package let source: Source

    package init(name: String, source: Source) {
        self.name = name
        self.source = source
    }
}

/// A small file of the pod's own.
package struct SandboxFile: Sendable {
    package let path: String
    package let content: String

    package init(path: String, content: String) {
        self.path = path
        self.content = content
    }
}

/// A program to run in a pod.
package struct ProgramSpec: Sendable {
    package struct Mount: Sendable {
        package let volume: String
        package let subPath: String
        package let target: String
        package let isReadOnly: Bool

        package init(volume: String, subPath: String = "", target: String, isReadOnly: Bool = false) {
            self.volume = volume
            self.subPath = subPath
            self.target = target
            self.isReadOnly = isReadOnly
        }
    }

    /// The container's name.
    package var name: String
    /// Counts the starts of one container, from 0: its log is `logs/<name>/<attempt>.log`.
    package var attempt: Int
    package var arguments: [String]
    /// `NAME=value`.
    package var environment: [String]
    package var directory: String
    package var user = 0
    package var group = 0
    package var supplementaryGroups: [Int] = []
    package var mounts: [Mount] = []
    /// What its root may do; another user may do nothing special.
    package var capabilities = Capabilities.usual
    package var filter = SystemCallFilter.standard
    /// Its writes are its own, not shared with the pod's other containers, and gone with the run.
    package var hasOwnLayer = false
    /// Only volumes, devices and the kernel's files may be written.
    package var hasReadOnlyRoot = false
    /// Who is attached to it may write to its standard input; else there is nothing to read.
    package var hasInput = false
    /// Its input ends when the first who was attached goes.
    package var closesInput = false
    /// One terminal in place of its three streams.
    package var isTerminal = false
    /// The root, for an image made of layers; else it is the pod's own, which shows the machine's directories.
    package var image: ImageRoot?

    package init(name: String, attempt: Int = 0, arguments: [String], environment: [String], directory: String) {
        self.name = name
        self.attempt = attempt
        self.arguments = arguments
        self.environment = environment
        self.directory = directory
    }

    /// The log's path below the pod's directory.
    package var log: String { Self.log(of: name, attempt: attempt) }

    package static func log(of name: String, attempt: Int) -> String { "logs/\(name)/\(attempt).log" }
}

/// One run of a container as the pod init knows it.
package struct ContainerRun: Sendable, Equatable {
    package enum State: String, Sendable {
        case starting, running, exited
        /// The program could not be started.
        case failed
    }

    package let name: String
    package let attempt: Int
    package let state: State
    /// In the pod's own numbering.
    package let pid: Int
    /// Nanoseconds since 1970; 0 while it has not happened.
    package let startedAt: Int64
    package let finishedAt: Int64
    /// The exit code; 128 + signal after a signal.
    package let exitCode: Int
    package let signal: Int
    /// Log lines that no disk took.
    package let droppedLines: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard parts.count >= 9, let state = State(rawValue: String(parts[2])) else { return nil }
        name = String(parts[0])
        attempt = Int(parts[1]) ?? 0
        self.state = state
        pid = Int(parts[3]) ?? 0
        startedAt = Int64(parts[4]) ?? 0
        finishedAt = Int64(parts[5]) ?? 0
        exitCode = Int(parts[6]) ?? 0
        signal = Int(parts[7]) ?? 0
        droppedLines = Int(parts[8]) ?? 0
    }
}

/// What happened in a pod.
package enum SandboxEvent: Sendable, Equatable {
    case exited(ContainerRun)
    /// The pod init is gone, and with it every process of the pod.
    case ended
}

/// What became of a command that ran inside a container.
package struct CommandResult: Sendable, Equatable {
    package let exitCode: Int
    package let hasTimedOut: Bool
    /// Its output and errors, at most 10 KiB.
    package let output: String
    /// Why it could not be started at all.
    package let failure: String?
}
