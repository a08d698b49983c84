import CWeft
import Glibc

/// Copies layers into one directory, as overlayfs would show them: for machines where no overlay can be mounted, and for a root of
/// one's own. Blocks; runs on one thread.
struct LayerAssembly {
    private let tree: LayerTree
    /// Files get their owners, devices are made.
    private let isPrivileged: Bool
    private let cancellation: Cancellation
    private var whiteouts = Whiteouts()
    /// Where a file with several names lies in the copy, by its number.
    private var copied: [UInt64: (parent: [[UInt8]], name: [UInt8])] = [:]

    /// The directory is there, and empty.
    ///
    /// - Throws: `ImageError` when it cannot be opened.
    init(into directory: String, isPrivileged: Bool, _ cancellation: Cancellation) throws(ImageError) {
        tree = try LayerTree(directory, above: [], form: .none)
        self.isPrivileged = isPrivileged
        self.cancellation = cancellation
    }

    /// Puts a layer above those that were added before.
    mutating func add(_ directory: String, _ whiteouts: Whiteouts) throws(ImageError) {
        guard let source = OpenDirectory(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else {
            throw StoreFiles.failure("read", directory, errno)
        }
        self.whiteouts = whiteouts
        copied = [:]
        for path in whiteouts.removed {
            let parts = path.split(separator: 0x2F).map { Array($0) }
            guard let name = parts.last, let parent = try tree.physical(parts.dropLast()) else { continue }
            try tree.clear(parent, name)
        }
        for path in whiteouts.opaque {
            guard let place = try tree.physical(path.split(separator: 0x2F).map { Array($0) }) else { continue }
            for name in FileName.entries(of: place.directory.fd) ?? [] { try tree.clear(place, name) }
        }
        var facts = stat()
        fstat(source.fd, &facts)
        let root = LayerTree.Place(directory: tree.root, path: [])
        try copyEntries(of: source, to: root)
        finish(root.directory.fd, facts)
    }

    private mutating func copyEntries(of source: OpenDirectory, to place: LayerTree.Place) throws(ImageError) {
        try cancellation.check()
        guard place.path.count <= LayerTree.mostDepth else { throw TarReader.malformed("a layer is too deep") }
        for name in FileName.entries(of: source.fd) ?? [] {
            guard !whiteouts.removed.contains(FileName.join(place.path + [name])),
                let facts = FileName.facts(source.fd, name)
            else { continue }
            try copy(name, facts, from: source, to: place)
        }
    }

    private mutating func copy(
        _ name: [UInt8],
        _ facts: stat,
        from source: OpenDirectory,
        to place: LayerTree.Place
    ) throws(ImageError) {
        let (path, target) = (place.path + [name], place.directory.fd)
        func failure() -> ImageError { LayerTree.failure(FileName.join(path), "copy", errno) }
        if facts.isDirectory {
            if FileName.facts(target, name)?.isDirectory != true {
                try tree.clear(place, name)
                guard FileName.with(name, { mkdirat(target, $0, 0o700) }) == 0 else { throw failure() }
            }
            guard let from = OpenDirectory(FileName.openDirectory(source.fd, name)), let to = try tree.physical(path)
            else { throw failure() }
            try copyEntries(of: from, to: to)
            finish(to.directory.fd, facts)
            return FileCopy.attributes(source.fd, name, to: target, name)
        }
        try tree.clear(place, name)
        if facts.isFile {
            if facts.st_nlink > 1, let first = copied[UInt64(facts.st_ino)],
                let parent = try tree.physical(first.parent)
            {
                let hasLink = FileName.with(first.name) { from in
                    FileName.with(name) { linkat(parent.directory.fd, from, target, $0, 0) == 0 }
                }
                guard hasLink else { throw failure() }
                return
            }
            try FileCopy.copy(source.fd, name, to: target, name, owners: isPrivileged)
            if facts.st_nlink > 1 { copied[UInt64(facts.st_ino)] = (place.path, name) }
        } else if facts.isLink {
            guard let link = FileName.link(source.fd, name) else { throw failure() }
            guard FileName.with(link, { link in FileName.with(name) { symlinkat(link, target, $0) } }) == 0 else {
                throw failure()
            }
            setOwner(facts, target, name)
            _ = FileName.with(name) { utimensat(target, $0, [facts.st_mtim, facts.st_mtim], AT_SYMLINK_NOFOLLOW) }
        } else {
            var (major, minor): (UInt32, UInt32) = (0, 0)
            cweft_device_numbers(UInt64(facts.st_rdev), &major, &minor)
            let error = FileName.with(name) { cweft_make_node(target, $0, facts.st_mode, major, minor) }
            // Devices are for those who may make them.
            guard error == 0 else { return }
            setOwner(facts, target, name)
            _ = FileName.with(name) { fchmodat(target, $0, facts.st_mode & 0o7777, 0) }
        }
    }

    private func setOwner(_ facts: stat, _ directory: Int32, _ name: [UInt8]) {
        guard isPrivileged else { return }
        _ = FileName.with(name) { fchownat(directory, $0, facts.st_uid, facts.st_gid, AT_SYMLINK_NOFOLLOW) }
    }

    private func finish(_ fd: Int32, _ facts: stat) {
        if isPrivileged { fchown(fd, facts.st_uid, facts.st_gid) }
        fchmod(fd, facts.st_mode & 0o7777)
        futimens(fd, [facts.st_mtim, facts.st_mtim])
    }
}
