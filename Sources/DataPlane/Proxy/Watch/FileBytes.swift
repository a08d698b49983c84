import CWeft
import Glibc
import Reactor

/// Reads whole files.
enum FileBytes {
    enum Failure: Error, Equatable {
        case system(SystemError)
        case tooLarge(limit: Int)

        var message: String {
            switch self {
            case .system(let error): "\(error)"
            case .tooLarge(let limit): "the file is larger than \(limit) bytes"
            }
        }
    }

    /// Makes these the bytes of a file; why it cannot be, or nil.
    static func write(_ bytes: [UInt8], to path: String) -> String? {
        let fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard fd >= 0 else { return "\(SystemError(code: cweft_errno(), operation: "open \(path)"))" }
        defer { close(fd) }
        let count = bytes.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
        return count == bytes.count ? nil : "\(SystemError(code: cweft_errno(), operation: "write \(path)"))"
    }

    /// The bytes of a file of at most `limit` bytes.
    static func read(_ path: String, limit: Int) -> Result<[UInt8], Failure> {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return .failure(.system(SystemError(code: cweft_errno(), operation: "open \(path)"))) }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(fd, $0.baseAddress, $0.count) }
            if count < 0 && cweft_errno() == EINTR { continue }
            guard count >= 0 else {
                return .failure(.system(SystemError(code: cweft_errno(), operation: "read \(path)")))
            }
            if count == 0 { return .success(bytes) }
            guard bytes.count + count <= limit else { return .failure(.tooLarge(limit: limit)) }
            bytes.append(contentsOf: chunk[..<count])
        }
    }
}
