import Glibc
package import Mesh
package import Wire

/// A file that could not be written.
package struct FileFailure: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ what: String, _ path: String) {
        description = "cannot \(what) \(path): \(String(cString: strerror(errno)))"
    }
}

/// The proxy's configuration on disk: changed files only are written, each replaced whole by a rename, each with the
/// revision at which it changed. Files that nobody needs go last.
package struct ProxyDirectory: Sendable {
    package let path: String
    /// The revision of the last change; 0 before the first.
    package private(set) var revision = 0
    /// For each file the revision at which it was last written.
    package private(set) var versions: [String: Int] = [:]
    private(set) var last: ConfigurationFiles?
    /// Files of an earlier weft, until the first publication has shown which of them are still wanted.
    private var inherited: Set<String> = []

    package init(path: String) { self.path = path }

    /// Makes the folders that files go into.
    ///
    /// - Parameter goesOn: a proxy runs with the files that are there: they stay until others take their place, and revisions
    ///   go on above theirs. Otherwise they are removed.
    /// - Throws: `FileFailure`.
    package mutating func prepare(goesOn: Bool = false) throws(FileFailure) {
        for (folder, prefix) in [(path, ""), ("\(path)/eds", "eds/"), ("\(path)/rds", "rds/")] {
            guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw FileFailure("make", folder) }
            guard let directory = opendir(folder) else { throw FileFailure("read", folder) }
            defer { closedir(directory) }
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasSuffix(".tmp") || (name.hasSuffix(".json") && !goesOn) { unlink("\(folder)/\(name)") }
                guard goesOn, name.hasSuffix(".json"), let version = Self.version(of: "\(folder)/\(name)") else {
                    continue
                }
                inherited.insert(prefix + name)
                revision = max(revision, version)
            }
        }
    }

    /// The number in `{"version_info":"N"`, with which every file that we write begins; nil for others.
    private static func version(of path: String) -> Int? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let text = String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
        let start = "{\"version_info\":\""
        guard text.hasPrefix(start) else { return nil }
        return Int(text.dropFirst(start.count).prefix { $0.isNumber })
    }

    /// Brings the directory to the wished state.
    ///
    /// - Returns: the paths that were written; empty when nothing changed.
    /// - Throws: `FileFailure`; what was written before stays, and a repeated call goes on from there.
    @discardableResult
    package mutating func publish(_ files: ConfigurationFiles) throws(FileFailure) -> [String] {
        let (written, removed) = files.changes(since: last)
        guard !written.isEmpty || !removed.isEmpty else { return [] }
        revision += 1
        for file in written {
            guard let bytes = files.bytes(of: file, version: revision) else { continue }
            try Self.replace("\(path)/\(file)", with: bytes)
            versions[file] = revision
        }
        for file in removed {
            unlink("\(path)/\(file)")
            versions[file] = nil
        }
        for file in inherited where versions[file] == nil { unlink("\(path)/\(file)") }
        inherited = []
        last = files
        return written
    }

    /// Writes a file beside its place and moves it there: a reader sees the old bytes or the new ones.
    package static func replace(_ path: String, with bytes: [UInt8]) throws(FileFailure) {
        let temporary = "\(path).tmp"
        let fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw FileFailure("create", temporary) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { write(fd, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                let failure = FileFailure("write", temporary)
                close(fd)
                throw failure
            }
            offset += count
        }
        close(fd)
        guard rename(temporary, path) == 0 else { throw FileFailure("replace", path) }
    }
}

/// What the proxy says about its configuration files: the answer of `/config_versions`.
package struct ProxyVersions: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        /// The revision that the proxy read last; nil when it is no number.
        package var version: Int?
        /// Every worker uses it.
        package var isApplied: Bool
        /// Why the last file was refused; empty when it was not.
        package var error: String
    }

    package private(set) var entries: [String: Entry] = [:]

    package init(_ value: Value) {
        for (path, entry) in value.fields ?? Fields() {
            let text = entry["version"]?.stringValue
            entries[path] = Entry(
                version: text.flatMap { Int($0) } ?? entry["version"]?.intValue,
                isApplied: entry["applied"]?.boolValue ?? false,
                error: entry["error"]?.stringValue ?? ""
            )
        }
    }

    /// Whether the proxy uses a file at this revision or a later one, or has refused it for good.
    package func hasSettled(_ path: String, at revision: Int) -> Bool {
        guard let entry = entries[path] else { return false }
        if !entry.error.isEmpty { return true }
        return (entry.version ?? 0) >= revision && entry.isApplied
    }
}

/// The listeners that the proxy could not open: read from its page `/listeners`, one `name::address::error why` a line.
package struct ListenerErrors: Sendable, Equatable {
    package private(set) var errors: [String: String] = [:]

    package init(_ page: String) {
        for line in page.split(whereSeparator: \.isNewline) {
            guard let mark = line.range(of: "::error ") else { continue }
            let name = line[..<mark.lowerBound]
            guard let end = name.range(of: "::") else { continue }
            errors[String(name[..<end.lowerBound])] = String(line[mark.upperBound...])
        }
    }
}

extension Substring {
    /// The first place of a text, or nil.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
