import CWeft
import Glibc
import Wire

/// The directory of a store: what lies where, and how it is written.
///
/// `images.json` alone says what there is. What it does not name is rubbish of a pull that was cut off: the next start removes it.
struct StoreFiles: Sendable {
    let path: String

    var index: String { "\(path)/images.json" }
    var blobs: String { "\(path)/blobs/sha256" }
    var layers: String { "\(path)/layers" }
    /// What is on its way in; worth nothing after a start.
    var incoming: String { "\(path)/incoming" }
    /// What is on its way out.
    var trash: String { "\(path)/trash" }

    func blob(_ digest: Digest) -> String { "\(blobs)/\(digest.hex)" }
    func layer(_ chain: Digest) -> String { "\(layers)/\(chain.hex)" }
    func content(of chain: Digest) -> String { "\(layers)/\(chain.hex)/diff" }
    /// All layers up to this one as one directory, where no overlay shows them.
    func flat(of chain: Digest) -> String { "\(layers)/\(chain.hex)/flat" }
    func whiteouts(of chain: Digest) -> String { "\(layers)/\(chain.hex)/whiteouts" }

    /// - Throws: `ImageError` when a directory cannot be made.
    func make() throws(ImageError) {
        for directory in [path, "\(path)/blobs", blobs, layers, incoming, trash] {
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw Self.failure("make", directory, errno) }
        }
    }

    static func failure(_ what: String, _ path: String, _ error: Int32) -> ImageError {
        ImageError(.store, "cannot \(what) \(path): \(String(cString: strerror(error)))")
    }

    static func write(_ bytes: ArraySlice<UInt8>, to fd: Int32, _ path: String) throws(ImageError) {
        var rest = bytes
        while !rest.isEmpty {
            let step = rest.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            if step < 0, errno == EINTR { continue }
            guard step > 0 else { throw failure("write", path, errno) }
            rest = rest.dropFirst(step)
        }
    }

    /// A file that is there whole or not at all.
    func put(_ bytes: [UInt8], at target: String, scratch: String) throws(ImageError) {
        let part = "\(scratch)/\(target.split(separator: "/").last ?? "file").part"
        let fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard let file = OpenDirectory(fd) else { throw Self.failure("make", part, errno) }
        try Self.write(bytes[...], to: file.fd, part)
        guard fsync(file.fd) == 0 else { throw Self.failure("write", part, errno) }
        try Self.move(part, to: target)
    }

    /// Gives a file or directory its name, and has the disk know it.
    static func move(_ from: String, to target: String) throws(ImageError) {
        guard rename(from, target) == 0 else { throw failure("make", target, errno) }
        let parent = target.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
        let fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { return }
        fsync(fd)
        close(fd)
    }

    static func read(_ path: String, limit: Int) -> [UInt8]? {
        guard let range = try? FileRange(whole: path) else { return nil }
        return try? range.bytes(limit: limit)
    }

    static func list(_ path: String) -> [String] {
        guard let directory = OpenDirectory(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else { return [] }
        return (FileName.entries(of: directory.fd) ?? []).map { FileName.text($0) }
    }

    /// A directory for one piece of work, below `incoming`.
    func scratch() throws(ImageError) -> String {
        var template = Array("\(incoming)/work-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Self.failure("make a directory in", incoming, errno) }
        return template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
    }

    /// Takes something out of use at once; its bytes go later (`emptyTrash`).
    func discard(_ target: String) {
        var template = Array("\(trash)/gone-XXXXXX".utf8CString)
        guard access(target, F_OK) == 0, mkdtemp(&template) != nil else { return }
        let place = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        if rename(target, "\(place)/it") != 0 { _ = cweft_remove_tree(target) }
    }

    func emptyTrash() {
        for name in Self.list(trash) { _ = cweft_remove_tree("\(trash)/\(name)") }
    }

    /// Puts aside whatever the index does not name.
    func sweep(blobs known: Set<Digest>, layers chains: Set<Digest>) {
        for name in Self.list(incoming) { discard("\(incoming)/\(name)") }
        for name in Self.list(blobs) where Digest(hex: name).map({ known.contains($0) }) != true {
            discard("\(blobs)/\(name)")
        }
        for name in Self.list(layers) where Digest(hex: name).map({ chains.contains($0) }) != true {
            discard("\(layers)/\(name)")
        }
    }
}
