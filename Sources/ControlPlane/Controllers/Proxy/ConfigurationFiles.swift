import Glibc
package import Wire

/// One file of the proxy's configuration: a DiscoveryResponse without its version.
package struct ConfigurationFile: Sendable, Equatable {
    /// Below the directory of the proxy: `lds.json`, `eds/web.json`.
    package var path: String
    /// Each with its `@type`.
    package var resources: [Value]

    package init(path: String, resources: [Value]) {
        self.path = path
        self.resources = resources
    }
}

/// A file that could not be written.
package struct FileFailure: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ what: String, _ path: String) {
        description = "cannot \(what) \(path): \(String(cString: strerror(errno)))"
    }
}

/// The proxy's configuration on disk: changed files only are written, each replaced whole by a rename, each with the
/// revision at which it changed.
///
/// Files are written from the bottom up (endpoints, clusters, routes, listeners), so that nothing ever names a thing that is
/// not there yet; files that nobody needs go last.
package struct ConfigurationFiles: Sendable {
    package let directory: String
    /// The revision of the last change; 0 before the first.
    package private(set) var revision = 0
    /// For each file the revision at which it was last written.
    package private(set) var versions: [String: Int] = [:]
    private var written: [String: [Value]] = [:]

    package init(directory: String) { self.directory = directory }

    /// Brings the directory to the wished state.
    ///
    /// - Returns: the paths that were written; empty when nothing changed.
    /// - Throws: `FileFailure`; what was written before stays, and a repeated call goes on from there.
    @discardableResult
    package mutating func publish(_ files: [ConfigurationFile]) throws(FileFailure) -> [String] {
        let ordered = files.sorted { (Self.rank($0.path), $0.path) < (Self.rank($1.path), $1.path) }
        let changed = ordered.filter { written[$0.path] != $0.resources }
        let wanted = Set(files.map(\.path))
        let gone = written.keys.filter { !wanted.contains($0) }
        guard !changed.isEmpty || !gone.isEmpty else { return [] }
        revision += 1
        for file in changed {
            let response: Value = ["version_info": .string(String(revision)), "resources": .array(file.resources)]
            try Self.replace("\(directory)/\(file.path)", with: JSON.bytes(response))
            written[file.path] = file.resources
            versions[file.path] = revision
        }
        for path in gone {
            unlink("\(directory)/\(path)")
            written[path] = nil
            versions[path] = nil
        }
        return changed.map(\.path)
    }

    private static func rank(_ path: String) -> Int {
        if path.hasPrefix("eds/") { return 0 }
        if path.hasPrefix("cds") { return 1 }
        return path.hasPrefix("rds/") ? 2 : 3
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
