import Glibc

extension ImageStore {
    /// What a removal did.
    package struct Removal: Sendable, Equatable {
        /// Names that no longer mean anything.
        package var untagged: [String] = []
        /// Images that are gone.
        package var deleted: [Digest] = []
        /// Bytes of the layers that are gone.
        package var bytes: Int64 = 0
    }

    /// Removes a name, and with its last name the image; by its digest the image with all names.
    ///
    /// - Throws: `ImageError` of the kind `inUse` while pods run from it.
    package func remove(_ word: String) throws(ImageError) -> Removal {
        let record = try find(word)
        var new = index
        var removal = Removal()
        let name = (try? ImageReference(word)).map { $0.description }
        if let name, record.names.contains(name), record.names.count > 1 {
            new.images[record.imageID]?.names.removeAll { $0 == name }
            removal.untagged = [name]
            try save(new)
            return removal
        }
        let users = users(of: record.imageID)
        guard users.isEmpty else {
            throw ImageError(
                .inUse,
                "the image \(word) is used by \(users.count) pod\(users.count == 1 ? "" : "s") (\(users.prefix(3).joined(separator: ", "))); delete \(users.count == 1 ? "it" : "them") first"
            )
        }
        removal.untagged = record.names
        try delete([record.imageID], from: &new, &removal)
        return removal
    }

    /// Removes images that no pod runs from: those without a name, or with `isAll` every one.
    package func prune(isAll: Bool) throws(ImageError) -> Removal {
        var removal = Removal()
        var new = index
        let gone = index.images.values.filter { (isAll || $0.names.isEmpty) && users(of: $0.imageID).isEmpty }
        removal.untagged = gone.flatMap(\.names).sorted()
        try delete(gone.map(\.imageID), from: &new, &removal)
        return removal
    }

    /// Makes room when the disk is fuller than it should be: images that were used least recently go first. Those that somebody loaded or pulled
    /// by hand stay.
    @discardableResult
    package func collect() -> Removal {
        let rules = ((try? configuration()) ?? ImageConfiguration()).collection
        var removal = Removal()
        guard let use = DiskUse(at: files.path), use.percent >= rules.highPercent else { return removal }
        var wanted = use.bytes(above: rules.lowPercent)
        let now = settings.now()
        let candidates = index.images.values
            .filter { !$0.isPinned && users(of: $0.imageID).isEmpty && now - $0.lastUsed >= rules.minimumAge }
            .sorted { $0.lastUsed < $1.lastUsed }
        for image in candidates where wanted > 0 {
            var new = index
            let before = removal.bytes
            guard (try? delete([image.imageID], from: &new, &removal)) != nil else { break }
            wanted -= removal.bytes - before
            count { $0.collected += 1 }
        }
        return removal
    }

    private func delete(_ ids: [Digest], from new: inout ImageIndex, _ removal: inout Removal) throws(ImageError) {
        var blobs: [Digest] = []
        for id in ids {
            guard let record = new.images.removeValue(forKey: id) else { continue }
            blobs.append(id)
            if record.hasManifest, let manifest = record.manifestDigest { blobs.append(manifest) }
        }
        let gone = new.orphans.filter { held[$0] == nil }
        for chain in gone { removal.bytes += new.layers.removeValue(forKey: chain)?.size ?? 0 }
        removal.deleted += ids
        try save(new)
        let kept = Set(new.images.values.flatMap { [$0.imageID] + $0.manifestDigests })
        for blob in blobs where !kept.contains(blob) { unlink(files.blob(blob)) }
        for chain in gone { files.discard(files.layer(chain)) }
        emptyTrash()
    }
}

/// How full the disk below a path is.
struct DiskUse {
    let total: Int64
    let free: Int64

    init?(at path: String) {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0, facts.f_blocks > 0 else { return nil }
        total = Int64(facts.f_blocks) * Int64(facts.f_frsize)
        free = Int64(facts.f_bavail) * Int64(facts.f_frsize)
    }

    var percent: Int { Int((total - free) / max(1, total / 100)) }
    func bytes(above percent: Int) -> Int64 { max(0, total - free - total / 100 * Int64(percent)) }
}
