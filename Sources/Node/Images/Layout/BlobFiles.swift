import Glibc

/// Files by their names, in a directory or inside a tar: the ground of OCI layouts and of Docker's archives.
struct BlobFiles: Sendable {
    /// The directory or the tar.
    let path: String
    private let index: [String: FileRange]?

    /// A packed tar is unpacked into the directory `scratch`.
    ///
    /// - Throws: `ImageError` when it cannot be read.
    init(_ path: String, scratch: String, limits: LayerLimits, _ cancellation: Cancellation) throws(ImageError) {
        self.path = path
        var facts = stat()
        guard stat(path, &facts) == 0 else {
            throw ImageError(.pull, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        index = facts.isDirectory ? nil : try Self.index(path, scratch, limits, cancellation)
    }

    var isDirectory: Bool { index == nil }

    /// The file; nil when there is none. In a directory no name leads out of it.
    func find(_ name: String) -> FileRange? {
        if let index { return index[name] }
        guard !name.split(separator: "/").contains("..") else { return nil }
        return try? FileRange(whole: "\(path)/\(name)")
    }

    func blob(_ digest: Digest) throws(ImageError) -> FileRange {
        guard let blob = find("blobs/sha256/\(digest.hex)") else {
            throw ImageError(.pull, "\(path): it has no blob \(digest)")
        }
        return blob
    }

    /// A small file whose sum must be right.
    func text(_ descriptor: Descriptor, limit: Int) throws(ImageError) -> [UInt8] {
        let bytes = try blob(descriptor.digest).bytes(limit: limit)
        guard Int64(bytes.count) == descriptor.size, Digest(of: bytes) == descriptor.digest else {
            throw ImageError(
                .pull,
                "\(path): the blob \(descriptor.digest) is damaged: its bytes have another sum or size"
            )
        }
        return bytes
    }

    private static func index(
        _ path: String,
        _ scratch: String,
        _ limits: LayerLimits,
        _ cancellation: Cancellation
    ) throws(ImageError) -> [String: FileRange] {
        let range = try FileRange(whole: path)
        let source = try LayerReader(range, limits: limits, sums: false)
        source.isCancelled = { cancellation.isCancelled }
        let plain = source.isPacked ? try unpack(source, scratch, limits) : range
        let reader = try LayerReader(plain, limits: limits, sums: false)
        reader.isCancelled = { cancellation.isCancelled }
        var tar = TarReader(reader, limits: limits)
        var files: [String: FileRange] = [:]
        var links: [(name: String, target: String)] = []
        while let entry = try tar.next() {
            guard let parts = try? LayerUnpacker.clean(entry.path), entry.extents == nil else { continue }
            let name = FileName.text(FileName.join(parts))
            switch entry.kind {
            case .file: files[name] = FileRange(path: plain.path, offset: tar.contentOffset, size: tar.contentSize)
            case .symbolicLink:
                // Docker once stored a layer that two images share as a link: `../ID/layer.tar`.
                var target = parts.dropLast().map { FileName.text($0) }
                for part in entry.link.split(separator: 0x2F) {
                    let word = FileName.text(part)
                    if word == ".." { _ = target.popLast() } else if word != "." { target.append(word) }
                }
                links.append((name, target.joined(separator: "/")))
            case .hardLink:
                if let target = try? LayerUnpacker.clean(entry.link) {
                    links.append((name, FileName.text(FileName.join(target))))
                }
            default: break
            }
        }
        for link in links where files[link.name] == nil { files[link.name] = files[link.target] }
        return files
    }

    private static func unpack(
        _ source: LayerReader,
        _ scratch: String,
        _ limits: LayerLimits
    ) throws(ImageError) -> FileRange {
        let file = "\(scratch)/archive.tar"
        let fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard let output = OpenDirectory(fd) else { throw LayerTree.failure(Array(file.utf8), "make", errno) }
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        var total: Int64 = 0
        while true {
            let count = try source.fill(&piece, piece.count)
            guard count > 0 else { break }
            try StoreFiles.write(piece[..<count], to: output.fd, file)
            total += Int64(count)
            if total & (1 << 26 - 1) < 1 << 20 { try DiskSpace.require(limits.freeBytes, at: output.fd) }
        }
        return FileRange(path: file, offset: 0, size: total)
    }
}
