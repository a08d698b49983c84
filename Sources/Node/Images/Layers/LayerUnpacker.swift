import CWeft
import Glibc

/// Unpacks a layer into a directory of its own, above others.
///
/// The tar is hostile: no name leads out of the directory, no device that is a mark of overlayfs is made, attributes of overlayfs are left out.
/// Runs on one thread, and blocks.
package struct LayerUnpacker {
    package struct Outcome: Sendable, Equatable {
        /// Of the file as it is stored, packed or not.
        package var packed: Digest
        package var plain: Digest
        package var whiteouts: Whiteouts
        /// Bytes of the files.
        package var size: Int64
        /// What could not be made for want of privileges, or may not be: devices, attributes.
        package var skipped: Int
    }

    let tree: LayerTree
    private let limits: LayerLimits
    /// Files get their owners, devices are made.
    private let isPrivileged: Bool
    /// Directories whose modes and times are set when nothing is written into them any more.
    private var directories: [[UInt8]: (path: [[UInt8]], entry: TarEntry)] = [:]
    /// The parent of the entry before.
    private var last: (wanted: ArraySlice<[UInt8]>, place: LayerTree.Place)?
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var written: Int64 = 0
    private var size: Int64 = 0
    private var skipped = 0

    /// The directory is there and empty; `lower` are directories of the layers below with what they hide, lowest first.
    ///
    /// - Throws: `ImageError` when one of them cannot be opened.
    package init(
        into directory: String,
        above lower: [(directory: String, whiteouts: Whiteouts)] = [],
        form: WhiteoutForm,
        isPrivileged: Bool,
        limits: LayerLimits = LayerLimits()
    ) throws(ImageError) {
        var layers: [LowerLayer] = []
        for layer in lower { layers.append(try LowerLayer(layer.directory, layer.whiteouts)) }
        tree = try LayerTree(directory, above: layers, form: form)
        self.limits = limits
        self.isPrivileged = isPrivileged
    }

    /// Unpacks all of a layer.
    package mutating func unpack(_ source: LayerReader) throws(ImageError) -> Outcome {
        fchmod(tree.root.fd, 0o755)
        var tar = TarReader(source, limits: limits)
        while let entry = try tar.next() { try place(entry, &tar) }
        try tree.hideBelowRoot()
        try finishDirectories()
        let sums = try source.finish()
        return Outcome(
            packed: sums.packed,
            plain: sums.plain,
            whiteouts: tree.whiteouts,
            size: size,
            skipped: skipped
        )
    }

    /// The names of a path: no root, no `.`; `..` is refused.
    static func clean(_ path: [UInt8]) throws(ImageError) -> [[UInt8]] {
        let parts = path.split(separator: 0x2F).map { Array($0) }.filter { $0 != [0x2E] }
        guard !parts.contains([0x2E, 0x2E]) else {
            throw ImageError(
                .inspect,
                "a layer is hostile: the path \(FileName.text(path.prefix(200))) leads out of it"
            )
        }
        guard parts.count <= LayerTree.mostDepth, parts.allSatisfy({ $0.count <= 255 }) else {
            throw TarReader.malformed("the path \(FileName.text(path.prefix(200))) is too deep or has too long a name")
        }
        return parts
    }

    private static let mark = Array(".wh.".utf8)
    private static let opaqueMark = Array(".wh..wh..opq".utf8)

    private mutating func place(_ entry: TarEntry, _ tar: inout TarReader) throws(ImageError) {
        let path = try Self.clean(entry.path)
        guard let name = path.last else {
            // The root itself.
            if entry.kind == .directory { directories[[]] = ([], entry) }
            return
        }
        let parent = try self.parent(path.dropLast())
        if name.starts(with: Self.mark) { return try mark(name, parent) }
        switch entry.kind {
        case .directory: try makeDirectory(entry, parent, name)
        case .file: try makeFile(entry, parent, name, &tar)
        case .hardLink: try makeHardLink(entry, parent, name)
        case .symbolicLink: try makeLink(entry, parent, name)
        case .characterDevice, .blockDevice, .pipe: try makeNode(entry, parent, name)
        }
    }

    private mutating func parent(_ path: ArraySlice<[UInt8]>) throws(ImageError) -> LayerTree.Place {
        if let last, last.wanted == path { return last.place }
        guard let place = try tree.directory(path, makes: true) else {
            throw TarReader.malformed("\(FileName.text(FileName.join(path))) is no directory")
        }
        last = (path, place)
        return place
    }

    /// Takes what is there away; the parent of the entry before may be gone with it.
    @discardableResult
    private mutating func clear(_ parent: LayerTree.Place, _ name: [UInt8]) throws(ImageError) -> Bool {
        if let facts = FileName.facts(parent.directory.fd, name), facts.isDirectory || facts.isLink { last = nil }
        return try tree.clear(parent, name)
    }

    private mutating func mark(_ name: [UInt8], _ parent: LayerTree.Place) throws(ImageError) {
        if name == Self.opaqueMark { return try tree.makeOpaque(parent) }
        let hidden = Array(name.dropFirst(Self.mark.count))
        // Other names that begin so twice are aufs's own.
        guard !hidden.isEmpty, !hidden.starts(with: Self.mark), hidden != [0x2E], hidden != [0x2E, 0x2E] else {
            skipped += 1
            return
        }
        try tree.hide(parent, hidden)
    }

    // MARK: Kinds

    private mutating func makeDirectory(
        _ entry: TarEntry,
        _ parent: LayerTree.Place,
        _ name: [UInt8]
    ) throws(ImageError) {
        let path = parent.path + [name]
        let joined = FileName.join(path)
        let isRemoved = tree.whiteouts.removed.contains(joined)
        if isRemoved || FileName.facts(parent.directory.fd, name)?.isDirectory != true {
            try clear(parent, name)
            guard FileName.with(name, { mkdirat(parent.directory.fd, $0, 0o755) }) == 0 else {
                throw LayerTree.failure(joined, "make", errno)
            }
            if isRemoved, let own = try tree.physical(path) { try tree.makeOpaque(own) }
        }
        directories[joined] = (path, entry)
    }

    private mutating func makeFile(
        _ entry: TarEntry,
        _ parent: LayerTree.Place,
        _ name: [UInt8],
        _ tar: inout TarReader
    ) throws(ImageError) {
        try clear(parent, name)
        let joined = FileName.join(parent.path + [name])
        let fd = FileName.with(name) {
            openat(parent.directory.fd, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard let file = OpenDirectory(fd) else { throw LayerTree.failure(joined, "make", errno) }
        for extent in entry.extents ?? [TarEntry.Extent(offset: 0, length: entry.size)] {
            var (offset, rest) = (extent.offset, extent.length)
            while rest > 0 {
                let count = try tar.read(into: &buffer, most: rest)
                guard count > 0 else { throw TarReader.malformed("\(entry.shownPath) is cut short") }
                try write(file.fd, count, offset, joined)
                offset += Int64(count)
                rest -= Int64(count)
            }
        }
        if entry.extents != nil, ftruncate(file.fd, off_t(entry.size)) != 0 {
            throw LayerTree.failure(joined, "write", errno)
        }
        size += entry.size
        try finish(entry, file.fd, parent, name)
    }

    private mutating func write(
        _ fd: Int32,
        _ count: Int,
        _ offset: Int64,
        _ path: [UInt8]
    ) throws(ImageError) {
        var done = 0
        while done < count {
            let step = buffer.withUnsafeBytes { bytes in
                pwrite(fd, bytes.baseAddress.map { $0 + done }, count - done, off_t(offset) + off_t(done))
            }
            if step < 0, errno == EINTR { continue }
            guard step > 0 else { throw LayerTree.failure(path, "write", errno) }
            done += step
        }
        let before = written
        written += Int64(count)
        if written >> 26 != before >> 26 { try DiskSpace.require(limits.freeBytes, at: fd) }
    }

    /// Owner, mode, attributes and time of a file that is open.
    private mutating func finish(
        _ entry: TarEntry,
        _ fd: Int32,
        _ parent: LayerTree.Place,
        _ name: [UInt8]
    ) throws(ImageError) {
        let path = FileName.join(parent.path + [name])
        if isPrivileged, fchown(fd, entry.uid, entry.gid) != 0 { throw LayerTree.failure(path, "give away", errno) }
        guard fchmod(fd, mode_t(entry.mode | (isPrivileged ? 0 : 0o400))) == 0 else {
            throw LayerTree.failure(path, "set the mode of", errno)
        }
        setAttributes(entry, parent.directory.fd, name)
        futimens(fd, [Self.time(entry), Self.time(entry)])
    }

    private static func time(_ entry: TarEntry) -> timespec {
        timespec(tv_sec: time_t(entry.seconds), tv_nsec: entry.nanoseconds)
    }

    /// Only attributes that mean something inside the image; capabilities need privileges.
    private mutating func setAttributes(_ entry: TarEntry, _ directory: Int32, _ name: [UInt8]) {
        for (key, value) in entry.attributes {
            let text = String(decoding: key, as: UTF8.self)
            let isUseful =
                text == "security.capability" && isPrivileged || text.hasPrefix("system.posix_acl_")
                || text.hasPrefix("user.") && !text.hasPrefix("user.overlay.")
            let error =
                isUseful && !key.contains(0)
                ? FileName.with(name) { cweft_set_attribute(directory, $0, text, value, value.count) } : EPERM
            if error != 0 { skipped += 1 }
        }
    }

    private mutating func makeLink(_ entry: TarEntry, _ parent: LayerTree.Place, _ name: [UInt8]) throws(ImageError) {
        guard !entry.link.isEmpty else { throw TarReader.malformed("the link \(entry.shownPath) names nothing") }
        try clear(parent, name)
        last = nil
        let fd = parent.directory.fd
        guard FileName.with(entry.link, { target in FileName.with(name) { symlinkat(target, fd, $0) } }) == 0 else {
            throw LayerTree.failure(FileName.join(parent.path + [name]), "make", errno)
        }
        setOwner(entry, fd, name)
        setAttributes(entry, fd, name)
        let times = [Self.time(entry), Self.time(entry)]
        _ = FileName.with(name) { utimensat(fd, $0, times, AT_SYMLINK_NOFOLLOW) }
    }

    private mutating func setOwner(_ entry: TarEntry, _ fd: Int32, _ name: [UInt8]) {
        guard isPrivileged else { return }
        if FileName.with(name, { fchownat(fd, $0, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) }) != 0 { skipped += 1 }
    }

    private mutating func makeNode(_ entry: TarEntry, _ parent: LayerTree.Place, _ name: [UInt8]) throws(ImageError) {
        // A character device 0/0 is overlayfs's mark, not a device.
        let isMark = entry.kind == .characterDevice && entry.major == 0 && entry.minor == 0
        guard entry.kind == .pipe || isPrivileged && !isMark else {
            skipped += 1
            return
        }
        try clear(parent, name)
        let kind: mode_t =
            switch entry.kind {
            case .pipe: 0o010000
            case .blockDevice: 0o060000
            default: 0o020000
            }
        let fd = parent.directory.fd
        let error = FileName.with(name) { cweft_make_node(fd, $0, kind | entry.mode, entry.major, entry.minor) }
        guard error == 0 else {
            // In a user namespace nobody makes devices.
            guard entry.kind != .pipe, error == EPERM else {
                throw LayerTree.failure(FileName.join(parent.path + [name]), "make", error)
            }
            skipped += 1
            return
        }
        setOwner(entry, fd, name)
        _ = FileName.with(name) { fchmodat(fd, $0, entry.mode, 0) }
    }

    // MARK: Hard links

    private mutating func makeHardLink(
        _ entry: TarEntry,
        _ parent: LayerTree.Place,
        _ name: [UInt8]
    ) throws(ImageError) {
        let target = try Self.clean(entry.link)
        let missing = TarReader.malformed(
            "\(entry.shownPath) is a link to \(FileName.text(entry.link)), which is not there"
        )
        guard let targetName = target.last else { throw missing }
        let wanted = target.dropLast()
        var place = try tree.directory(wanted, makes: false)
        if place.flatMap({ own($0, targetName) }) == nil { place = try copyUp(wanted, targetName) }
        guard let place, let facts = own(place, targetName) else { throw missing }
        guard !facts.isDirectory else { throw TarReader.malformed("\(entry.shownPath) is a link to a directory") }
        let isSame = place.path == parent.path && targetName == name
        guard !isSame else { return }
        try clear(parent, name)
        let error = FileName.with(targetName) { from in
            FileName.with(name) { linkat(place.directory.fd, from, parent.directory.fd, $0, 0) == 0 ? 0 : errno }
        }
        guard error == 0 else { throw LayerTree.failure(FileName.join(parent.path + [name]), "link", error) }
    }

    /// What this layer itself has there.
    private func own(_ place: LayerTree.Place, _ name: [UInt8]) -> stat? {
        guard !tree.whiteouts.removed.contains(FileName.join(place.path + [name])) else { return nil }
        return FileName.facts(place.directory.fd, name)
    }

    /// A file of a layer below that gets a second name comes into this layer, as overlayfs would have it.
    private mutating func copyUp(_ wanted: ArraySlice<[UInt8]>, _ name: [UInt8]) throws(ImageError) -> LayerTree.Place?
    {
        guard let place = try tree.directory(wanted, makes: true) else { return nil }
        guard let below = tree.find(place.path + [name]), below.facts.isFile else { return nil }
        try FileCopy.copy(below.parent.fd, below.name, to: place.directory.fd, name, owners: isPrivileged)
        size += Int64(below.facts.st_size)
        return place
    }

    // MARK: End

    private mutating func finishDirectories() throws(ImageError) {
        for (path, entry) in directories.values {
            // It may have been replaced since.
            guard let place = try tree.physical(path) else { continue }
            let fd = place.directory.fd
            if isPrivileged, fchown(fd, entry.uid, entry.gid) != 0 {
                throw LayerTree.failure(FileName.join(path), "give away", errno)
            }
            fchmod(fd, mode_t(entry.mode | (isPrivileged ? 0 : 0o700)))
            if let name = path.last, let parent = try tree.physical(path.dropLast()) {
                setAttributes(entry, parent.directory.fd, name)
            }
            futimens(fd, [Self.time(entry), Self.time(entry)])
        }
    }
}

/// Room on a disk.
enum DiskSpace {
    static func free(at path: String) -> Int64? {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        return Int64(facts.f_bavail) * Int64(facts.f_frsize)
    }

    static func require(_ bytes: Int64, at path: String) throws(ImageError) {
        guard let free = free(at: path), free < bytes else { return }
        throw refusal(bytes)
    }

    static func require(_ bytes: Int64, at fd: Int32) throws(ImageError) {
        var facts = statvfs()
        guard fstatvfs(fd, &facts) == 0, Int64(facts.f_bavail) * Int64(facts.f_frsize) < bytes else { return }
        throw refusal(bytes)
    }

    private static func refusal(_ bytes: Int64) -> ImageError {
        ImageError(
            .store,
            "less than \(bytes >> 20) MB of the disk would stay free; remove what is not needed: weft image prune"
        )
    }
}
