import Glibc
package import Mesh

/// A file that could not be written.
package struct FileFailure: Error, Sendable, CustomStringConvertible {
    package let description: String

    init(_ what: String, _ path: String) {
        description = "cannot \(what) \(path): \(String(cString: strerror(errno)))"
    }
}

/// The proxy's folder: what it is started with, and its sockets.
package enum ProxyDirectory {
    /// Makes the folder and writes the file that the proxy is started with.
    ///
    /// - Throws: `FileFailure`.
    package static func prepare(_ state: MeshState) throws(FileFailure) {
        try make(state.directory)
        try replace("\(state.directory)/\(ProxyBootstrap.file)", with: ProxyBootstrap.bytes(state))
    }

    /// Makes the folder where there is none.
    ///
    /// - Throws: `FileFailure`.
    package static func make(_ path: String) throws(FileFailure) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileFailure("make", path) }
    }

    /// Removes the files that fed the proxies of earlier versions.
    package static func removeOldFiles(_ path: String) {
        for name in ["bootstrap", "lds", "cds"] { unlink("\(path)/\(name).json") }
        for folder in ["\(path)/eds", "\(path)/rds"] {
            guard let directory = opendir(folder) else { continue }
            defer { closedir(directory) }
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasSuffix(".json") || name.hasSuffix(".tmp") { unlink("\(folder)/\(name)") }
            }
            rmdir(folder)
        }
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
