import CWeft
import Glibc

/// Reads files, folders and standard input for the commands that take manifests.
enum FileReader {
    /// Manifests are written by people: a larger file is a mistake (the API takes 3 MiB per object).
    static let largestFile = 16 << 20

    /// The files behind a path: the path itself, or a folder's manifests (`.yaml`, `.yml`, `.json`) in order of name.
    ///
    /// - Throws: `CommandError` when the path does not exist, cannot be read, or is a folder without manifests.
    static func files(at path: String, isRecursive: Bool) throws(CommandError) -> [String] {
        guard isDirectory(path) else {
            guard access(path, F_OK) == 0 else {
                throw CommandError("\(path): no such file or folder")
            }
            return [path]
        }
        let found = try manifests(in: path, isRecursive: isRecursive)
        guard !found.isEmpty else {
            throw CommandError(
                "\(path): the folder holds no .yaml, .yml or .json file"
                    + (isRecursive ? "" : " (with --recursive the folders inside it are read too)")
            )
        }
        return found
    }

    private static func manifests(in folder: String, isRecursive: Bool) throws(CommandError) -> [String] {
        guard let directory = opendir(folder) else {
            throw CommandError("\(folder): cannot be read: \(describe(errno))")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        var found: [String] = []
        for name in names.sorted() {
            let path = folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
            if isDirectory(path) {
                if isRecursive { found += try manifests(in: path, isRecursive: true) }
            } else if [".yaml", ".yml", ".json"].contains(where: name.hasSuffix) {
                found.append(path)
            }
        }
        return found
    }

    /// The bytes of a file, or of standard input for `-`.
    static func bytes(of path: String) throws(CommandError) -> [UInt8] {
        let fd = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw CommandError("\(path): cannot be read: \(describe(errno))") }
        defer { close(fd) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(fd, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CommandError("\(path): cannot be read: \(describe(errno))") }
            guard count > 0 else { return content }
            content += chunk[..<count]
            guard content.count <= largestFile else {
                throw CommandError("\(path): larger than \(largestFile >> 20) MiB, which no manifest is")
            }
        }
    }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The absolute folder that holds a file; the working directory for standard input.
    static func folder(of path: String) -> String {
        let parent: String
        if path != "-", let slash = path.lastIndex(of: "/") {
            parent = slash == path.startIndex ? "/" : String(path[..<slash])
        } else {
            parent = "."
        }
        return absolute(parent)
    }

    /// The absolute form of a path, with links resolved when it exists.
    static func absolute(_ path: String) -> String {
        if let resolved = realpath(path, nil) {
            defer { free(resolved) }
            return String(cString: resolved)
        }
        guard !path.hasPrefix("/"), let current = getcwd(nil, 0) else { return path }
        defer { free(current) }
        return "\(String(cString: current))/\(path)"
    }

    static func describe(_ code: Int32) -> String { String(cString: strerror(code)) }
}
