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
