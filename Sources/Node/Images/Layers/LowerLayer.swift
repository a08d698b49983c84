import Glibc

/// A layer that is unpacked already and lies below the one in work.
final class LowerLayer {
    /// What stands at a path when one looks at this layer alone.
    enum Finding {
        /// Look further down.
        case nothing
        /// It is hidden, here and below.
        case hidden
        case found(parent: OpenDirectory, name: [UInt8], stat)
    }

    private let root: OpenDirectory
    private let whiteouts: Whiteouts

    /// The directory is that of the unpacked files.
    ///
    /// - Throws: `ImageError` when it cannot be opened.
    init(_ directory: String, _ whiteouts: Whiteouts) throws(ImageError) {
        guard let root = OpenDirectory(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else {
            throw ImageError(
                .store,
                "the unpacked layer \(directory) cannot be read: \(String(cString: strerror(errno)))"
            )
        }
        self.root = root
        self.whiteouts = whiteouts
    }

    func find(_ path: [[UInt8]]) -> Finding {
        var directory = root
        var joined: [UInt8] = []
        for (index, name) in path.enumerated() {
            let isOpaque = whiteouts.opaque.contains(joined)
            joined += (joined.isEmpty ? [] : [0x2F]) + name
            if whiteouts.removed.contains(joined) { return .hidden }
            guard let facts = FileName.facts(directory.fd, name) else { return isOpaque ? .hidden : .nothing }
            if index == path.count - 1 { return .found(parent: directory, name: name, facts) }
            // A file or a link here stands before whatever directory lies below.
            guard facts.isDirectory, let next = OpenDirectory(FileName.openDirectory(directory.fd, name)) else {
                return .hidden
            }
            directory = next
        }
        return .nothing
    }

    /// Names at its top, without what it hides.
    var topNames: [[UInt8]] { (FileName.entries(of: root.fd) ?? []).filter { !whiteouts.removed.contains($0) } }
}
