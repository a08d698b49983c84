import CWeft
import Glibc

/// Copies one file with all that is to it.
enum FileCopy {
    static func copy(
        _ from: Int32,
        _ name: [UInt8],
        to target: Int32,
        _ newName: [UInt8],
        owners: Bool
    ) throws(ImageError) {
        func failure(_ what: String) -> ImageError { LayerTree.failure(newName, what, errno) }
        let input = FileName.with(name) { openat(from, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
        guard let source = OpenDirectory(input) else { throw failure("copy") }
        var facts = stat()
        guard fstat(source.fd, &facts) == 0 else { throw failure("copy") }
        let output = FileName.with(newName) {
            openat(target, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard let file = OpenDirectory(output) else { throw failure("make") }
        var rest = Int(facts.st_size)
        while rest > 0 {
            // Shares the blocks where the file system can.
            let count = copy_file_range(source.fd, nil, file.fd, nil, rest, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("copy") }
            if count == 0 { break }
            rest -= count
        }
        if owners { fchown(file.fd, facts.st_uid, facts.st_gid) }
        fchmod(file.fd, facts.st_mode & 0o7777)
        attributes(from, name, to: target, newName)
        futimens(file.fd, [facts.st_mtim, facts.st_mtim])
    }

    /// Copies what attributes can be copied, overlayfs's excepted.
    static func attributes(_ from: Int32, _ name: [UInt8], to target: Int32, _ newName: [UInt8]) {
        var size = 65_536
        var names = [CChar](repeating: 0, count: size)
        guard FileName.with(name, { cweft_list_attributes(from, $0, &names, &size) }) == 0 else { return }
        for raw in names[..<size].split(separator: 0) {
            let key = String(decoding: raw.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard !key.hasPrefix("trusted."), !key.hasPrefix("user.overlay."), !key.hasPrefix("security.selinux") else {
                continue
            }
            var length = 65_536
            var value = [UInt8](repeating: 0, count: length)
            guard FileName.with(name, { cweft_get_attribute(from, $0, key, &value, &length) }) == 0 else { continue }
            _ = FileName.with(newName) { cweft_set_attribute(target, $0, key, value, length) }
        }
    }
}
