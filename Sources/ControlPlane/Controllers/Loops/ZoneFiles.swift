import CWeft
import Glibc

/// The time zones that this machine knows.
package enum ZoneFiles {
    private static let limit = 1 << 20

    /// The rules of a zone by its name (`Europe/Berlin`); nil when there is no such zone.
    package static func rules(of name: String) -> TimeZoneRules? {
        if ["UTC", "Etc/UTC"].contains(name) { return .utc }
        guard !name.isEmpty, !name.hasPrefix("/"), !name.split(separator: "/").contains("..") else { return nil }
        guard let bytes = read("/usr/share/zoneinfo/\(name)") else { return nil }
        return TimeZoneRules(file: bytes)
    }

    private static func read(_ path: String) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
            }
            guard count > 0 else { return nil }
            filled += count
        }
        return bytes
    }
}
