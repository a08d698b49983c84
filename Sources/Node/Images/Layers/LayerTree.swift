import CWeft
import Glibc

/// The directory into which a layer is unpacked, with the layers below it.
///
/// Every step goes by one name from an open directory and follows no link of the kernel's: links are read and followed here, and
/// end at the root of the image. Owned by one thread.
final class LayerTree {
    let root: OpenDirectory
    private let lower: [LowerLayer]
    private let form: WhiteoutForm
    var whiteouts = Whiteouts()

    /// Deeper trees than this are an attack on whoever walks them.
    static let mostDepth = 512
    private static let mostLinks = 40

    /// The layers below stand lowest first.
    ///
    /// - Throws: `ImageError` when the directory cannot be opened.
    init(_ directory: String, above lower: [LowerLayer], form: WhiteoutForm) throws(ImageError) {
        guard let root = OpenDirectory(open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) else {
            throw ImageError(.store, "\(directory) cannot be opened: \(String(cString: strerror(errno)))")
        }
        self.root = root
        self.lower = lower.reversed()
        self.form = form
    }

    static func failure(_ path: [UInt8], _ what: String, _ error: Int32) -> ImageError {
        ImageError(.store, "cannot \(what) \(FileName.text(path)): \(String(cString: strerror(error)))")
    }

    // MARK: Directories

    struct Place {
        let directory: OpenDirectory
        /// Where it is, without links.
        let path: [[UInt8]]
    }

    /// A directory of this layer by names that passed `LayerUnpacker.clean`; with `makes` what misses is made, after the layers below.
    func directory(_ wanted: some BidirectionalCollection<[UInt8]>, makes: Bool) throws(ImageError) -> Place? {
        var pending = Array(wanted.reversed())
        var place = Place(directory: root, path: [])
        var links = 0
        while let name = pending.popLast() {
            if name.isEmpty || name == [0x2E] { continue }
            if name == [0x2E, 0x2E] {
                place = try physical(Array(place.path.dropLast())) ?? Place(directory: root, path: [])
                continue
            }
            let path = place.path + [name]
            guard path.count <= Self.mostDepth else {
                throw TarReader.malformed("\(FileName.text(FileName.join(path).prefix(80)))... lies too deep")
            }
            switch try step(place, name, path, makes: makes) {
            case .entered(let next): place = next
            case .link(let target):
                links += 1
                guard links <= Self.mostLinks else {
                    throw TarReader.malformed("\(FileName.text(FileName.join(path))) is a circle of links")
                }
                if target.first == 0x2F { place = Place(directory: root, path: []) }
                pending += target.split(separator: 0x2F).map { Array($0) }.reversed()
            case .missing: return nil
            }
        }
        return place
    }

    private enum Step {
        case entered(Place)
        case link([UInt8])
        case missing
    }

    private func step(_ place: Place, _ name: [UInt8], _ path: [[UInt8]], makes: Bool) throws(ImageError) -> Step {
        let fd = place.directory.fd
        let joined = FileName.join(path)
        let isRemoved = whiteouts.removed.contains(joined)
        if !isRemoved, let facts = FileName.facts(fd, name) {
            if facts.isDirectory {
                guard let next = OpenDirectory(FileName.openDirectory(fd, name)) else {
                    throw Self.failure(joined, "open", errno)
                }
                return .entered(Place(directory: next, path: path))
            }
            if facts.isLink, let target = FileName.link(fd, name) { return .link(target) }
            guard makes else { return .missing }
            throw TarReader.malformed("\(FileName.text(joined)) is a file and a directory")
        }
        if !isRemoved, let below = find(path) {
            if below.facts.isLink, let target = FileName.link(below.parent.fd, below.name) { return .link(target) }
            guard makes else { return .missing }
            return .entered(try make(place, name, path, like: below.facts.isDirectory ? below : nil))
        }
        guard makes else { return .missing }
        let made = try make(place, name, path, like: nil)
        // What lies below was removed before: it must not come back.
        if isRemoved { try makeOpaque(made) }
        return .entered(made)
    }

    private func make(_ place: Place, _ name: [UInt8], _ path: [[UInt8]], like below: Below?) throws(ImageError)
        -> Place
    {
        try clear(place, name)
        let joined = FileName.join(path)
        guard FileName.with(name, { mkdirat(place.directory.fd, $0, 0o755) }) == 0,
            let next = OpenDirectory(FileName.openDirectory(place.directory.fd, name))
        else { throw Self.failure(joined, "make", errno) }
        fchmod(next.fd, mode_t(0o755))
        if let below {
            fchown(next.fd, below.facts.st_uid, below.facts.st_gid)
            fchmod(next.fd, below.facts.st_mode & 0o7777)
        }
        return Place(directory: next, path: path)
    }

    /// A directory by a path that holds no links; nil when there is one, or something else.
    func physical(_ path: [[UInt8]]) throws(ImageError) -> Place? {
        var directory = root
        for name in path {
            guard let next = OpenDirectory(FileName.openDirectory(directory.fd, name)) else { return nil }
            directory = next
        }
        return Place(directory: directory, path: path)
    }

    // MARK: Below

    struct Below {
        let parent: OpenDirectory
        let name: [UInt8]
        let facts: stat
    }

    /// What the layers below show at a path, when this layer does not hide it.
    func find(_ path: [[UInt8]]) -> Below? {
        for count in 0..<path.count where whiteouts.opaque.contains(FileName.join(path[..<count])) { return nil }
        for layer in lower {
            switch layer.find(path) {
            case .nothing: continue
            case .hidden: return nil
            case .found(let parent, let name, let facts):
                return facts.isWhiteout ? nil : Below(parent: parent, name: name, facts: facts)
            }
        }
        return nil
    }

    // MARK: Whiteouts

    /// Hides a name of the layers below; what this layer itself has there stays.
    func hide(_ place: Place, _ name: [UInt8]) throws(ImageError) {
        let path = place.path + [name]
        let joined = FileName.join(path)
        if whiteouts.removed.contains(joined) { return }
        if let facts = FileName.facts(place.directory.fd, name) {
            guard facts.isDirectory, let own = try physical(path) else { return }
            return try makeOpaque(own)
        }
        whiteouts.removed.insert(joined)
        guard form != .none else { return }
        let error = FileName.with(name) { cweft_make_node(place.directory.fd, $0, S_IFCHR, 0, 0) }
        guard error == 0 else { throw Self.failure(joined, "mark as removed", error) }
    }

    /// Hides all that the layers below have in a directory.
    func makeOpaque(_ place: Place) throws(ImageError) {
        let joined = FileName.join(place.path)
        whiteouts.opaque.insert(joined)
        guard form != .none, let name = place.path.last, let parent = try physical(place.path.dropLast()) else {
            return
        }
        let attribute = form == .trusted ? "trusted.overlay.opaque" : "user.overlay.opaque"
        let error = FileName.with(name) { cweft_set_attribute(parent.directory.fd, $0, attribute, "y", 1) }
        guard error == 0 else { throw Self.failure(joined, "mark as opaque", error) }
    }

    /// overlayfs merges roots whatever they say: each name is hidden on its own.
    func hideBelowRoot() throws(ImageError) {
        guard whiteouts.opaque.contains([]) else { return }
        whiteouts.opaque.remove([])
        for layer in lower {
            for name in layer.topNames { try hide(Place(directory: root, path: []), name) }
        }
        whiteouts.opaque.insert([])
    }

    // MARK: Entries

    /// Takes whatever stands at a name out of the way. True when it was a mark that the name is removed below.
    @discardableResult
    func clear(_ place: Place, _ name: [UInt8]) throws(ImageError) -> Bool {
        let joined = FileName.join(place.path + [name])
        let wasRemoved = whiteouts.removed.remove(joined) != nil
        guard let facts = FileName.facts(place.directory.fd, name) else { return wasRemoved }
        if facts.isDirectory {
            let prefix = joined + [0x2F]
            whiteouts.removed = whiteouts.removed.filter { !$0.starts(with: prefix) }
            whiteouts.opaque = whiteouts.opaque.filter { $0 != joined && !$0.starts(with: prefix) }
        }
        let error = FileName.with(name) { cweft_remove_entry(place.directory.fd, $0) }
        guard error == 0 else { throw Self.failure(joined, "replace", error) }
        return wasRemoved
    }
}
