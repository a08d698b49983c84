import Glibc
import Sandbox

/// Writes the files of a volume so that a container sees all old or all new ones: they lie in a directory of their own
/// behind the link `..data`, which is replaced in one step, as in Kubernetes.
enum VolumeWriter {
    /// Brings the directory to hold the content. `serial` tells this version's directory from the one before; one that an
    /// earlier daemon used is passed over. A `group` may read every file.
    static func write(
        _ content: VolumeContent,
        to directory: String,
        serial: Int,
        group: Int? = nil
    ) throws(SandboxError) {
        try makeDirectory(directory)
        chmod(directory, 0o755)
        var serial = serial
        while access("\(directory)/..\(serial)", F_OK) == 0 { serial += 1 }
        let version = "..\(serial)"
        let place = "\(directory)/\(version)"
        try makeDirectory(place)
        chmod(place, 0o755)
        for file in content.files {
            if let slash = file.path.lastIndex(of: "/") {
                try makeDirectory("\(place)/\(file.path[..<slash])", mode: 0o755)
            }
            try write(file, to: "\(place)/\(file.path)", group)
        }
        let before = linkTarget("\(directory)/..data")
        unlink("\(directory)/..data.new")
        guard symlink(version, "\(directory)/..data.new") == 0,
            rename("\(directory)/..data.new", "\(directory)/..data") == 0
        else { throw SandboxError(.creationFailed, "cannot put the volume \(directory) in place") }
        try link(content, in: directory)
        if let before, before != version { try Leftovers.remove("\(directory)/\(before)") }
    }

    /// One link per top-level name, each through `..data`.
    private static func link(_ content: VolumeContent, in directory: String) throws(SandboxError) {
        let wanted = Set(content.files.map { String($0.path.split(separator: "/").first ?? "") })
        for name in listDirectory(directory) where !name.hasPrefix("..") && !wanted.contains(name) {
            unlink("\(directory)/\(name)")
        }
        for name in wanted where linkTarget("\(directory)/\(name)") == nil {
            guard symlink("..data/\(name)", "\(directory)/\(name)") == 0 else {
                throw SandboxError(.creationFailed, "cannot link \(name) in the volume \(directory)")
            }
        }
    }

    private static func write(_ file: VolumeContent.File, to path: String, _ group: Int?) throws(SandboxError) {
        let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode_t(file.mode))
        guard fd >= 0 else { throw SandboxError(.creationFailed, "cannot write \(path)") }
        defer { close(fd) }
        if let group, fchown(fd, uid_t.max, gid_t(clamping: group)) == 0 {
            fchmod(fd, mode_t(file.mode | 0o440))
        } else {
            fchmod(fd, mode_t(file.mode))
        }
        var done = 0
        while done < file.bytes.count {
            let count = file.bytes.withUnsafeBytes {
                Glibc.write(fd, $0.baseAddress?.advanced(by: done), file.bytes.count - done)
            }
            guard count > 0 else { throw SandboxError(.creationFailed, "cannot write \(path): the disk is full?") }
            done += count
        }
    }

    private static func linkTarget(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
