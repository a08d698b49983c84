import CWeft
import Glibc
import Images
import Testing

/// Tars by hand, as an attacker would write them.
struct TarText {
    var bytes: [UInt8] = []

    mutating func add(
        _ path: String,
        _ type: Character = "0",
        _ content: [UInt8] = [],
        link: String = "",
        mode: Int = 0o644,
        owner: (Int, Int) = (0, 0),
        device: (Int, Int) = (0, 0),
        size: Int? = nil
    ) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ place: Int, _ room: Int) {
            for (index, byte) in text.utf8.prefix(room).enumerated() { header[place + index] = byte }
        }
        func number(_ value: Int, _ place: Int, _ room: Int) {
            let digits = String(value, radix: 8)
            put(String(repeating: "0", count: room - 1 - digits.count) + digits, place, room)
        }
        put(path, 0, 100)
        number(mode, 100, 8)
        number(owner.0, 108, 8)
        number(owner.1, 116, 8)
        number(size ?? content.count, 124, 12)
        number(1_600_000_000, 136, 12)
        put(String(type), 156, 1)
        put(link, 157, 100)
        put("ustar", 257, 6)
        put("00", 263, 2)
        number(device.0, 329, 8)
        number(device.1, 337, 8)
        for place in 148..<156 { header[place] = 0x20 }
        number(header.reduce(0) { $0 + Int($1) }, 148, 7)
        bytes += header + content
        if content.count % 512 != 0 { bytes += [UInt8](repeating: 0, count: 512 - content.count % 512) }
    }

    mutating func pax(_ records: [(String, [UInt8])]) {
        var content: [UInt8] = []
        for (key, value) in records {
            let rest = key.utf8.count + value.count + 3
            var length = rest + String(rest).count
            if rest + String(length).count != length { length = rest + String(length).count }
            content += Array("\(length) \(key)=".utf8) + value + [0x0A]
        }
        add("PaxHeaders/x", "x", content)
    }

    var whole: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}

/// A directory of a test, gone with it.
final class Folder {
    let path: String

    init() throws {
        path = "/tmp/weft-images-\(UInt64.random(in: 0 ... .max))"
        try #require(mkdir(path, 0o755) == 0)
    }

    deinit { _ = cweft_remove_tree(path) }

    func put(_ bytes: [UInt8], _ name: String) throws -> FileRange {
        let file = "\(path)/\(name)"
        let fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(fd >= 0)
        defer { close(fd) }
        try #require(write(fd, bytes, bytes.count) == bytes.count)
        return try FileRange(whole: file)
    }

    func make(_ name: String) throws -> String {
        try #require(mkdir("\(path)/\(name)", 0o755) == 0)
        return "\(path)/\(name)"
    }

    /// What stands at a path below: `file:TEXT`, `link:TARGET`, `directory`, `whiteout`, `device`, `pipe`, or nil.
    func look(_ name: String) -> String? {
        var facts = stat()
        let place = "\(path)/\(name)"
        guard lstat(place, &facts) == 0 else { return nil }
        switch facts.st_mode & 0o170000 {
        case 0o040000: return "directory"
        case 0o120000:
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlink(place, &target, target.count)
            return "link:" + String(decoding: target[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        case 0o020000: return facts.st_rdev == 0 ? "whiteout" : "device"
        case 0o010000: return "pipe"
        default:
            var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
            let fd = open(place, O_RDONLY | O_CLOEXEC)
            defer { close(fd) }
            return read(fd, &bytes, bytes.count) == bytes.count ? "file:" + String(decoding: bytes, as: UTF8.self) : nil
        }
    }

    func mode(_ name: String) -> Int {
        var facts = stat()
        return lstat("\(path)/\(name)", &facts) == 0 ? Int(facts.st_mode & 0o7777) : -1
    }
}
