import CWeft
import Glibc

/// The images of this machine: where they come from, their layers unpacked once, who runs from them.
///
/// An actor; work that blocks runs on threads of its own. One process at a time owns a directory. A reference is resolved in this order:
/// the store itself (unless the policy is `Always`), the storage of podman and Docker, the registry.
package actor ImageStore {
    let settings: ImageSettings
    nonisolated let files: StoreFiles
    nonisolated let form: WhiteoutForm
    nonisolated let isPrivileged: Bool
    private let lock: OpenDirectory
    var index: ImageIndex
    private(set) var figures = ImageFigures()
    /// Images by the pods that run from them.
    private var users: [String: Set<Digest>] = [:]
    /// Layers that pulls in work count on.
    var held: [Digest: Int] = [:]
    var pulls: [PullKey: Pull] = [:]
    let pullGate: Gate
    let unpackGate = Gate(1)
    private let trashGate = Gate(1)
    private var trashTask: Task<Void, Never>?

    /// Opens the store of a directory, which is made where it misses, and removes what cut-off pulls left.
    ///
    /// - Throws: `ImageError` when another process has it, or its index is damaged.
    package static func open(_ settings: ImageSettings) async throws(ImageError) -> ImageStore {
        let opened = try await WorkThread.run { (_) throws(ImageError) in try Opened(settings) }
        let store = ImageStore(settings, opened)
        await store.emptyTrash()
        return store
    }

    /// What opening finds.
    private struct Opened: Sendable {
        let files: StoreFiles
        let lock: Int32
        let index: ImageIndex
        let form: WhiteoutForm
        let isPrivileged: Bool

        init(_ settings: ImageSettings) throws(ImageError) {
            files = StoreFiles(path: settings.directory)
            try files.make()
            let path = "\(settings.directory)/lock"
            lock = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard lock >= 0 else { throw StoreFiles.failure("open", path, errno) }
            do throws(ImageError) {
                guard Self.take(lock, settings.patience) else {
                    throw ImageError(.store, "another Weft works with the images in \(settings.directory)")
                }
                if let bytes = StoreFiles.read(files.index, limit: ImageIndex.mostBytes) {
                    do throws(ImageError) { index = try ImageIndex(bytes) } catch {
                        throw ImageError(
                            .store,
                            "\(files.index): \(error.message); remove it, and the images are fetched again"
                        )
                    }
                } else if access(files.index, F_OK) == 0 {
                    throw ImageError(
                        .store,
                        "\(files.index) cannot be read, or is larger than \(ImageIndex.mostBytes) bytes"
                    )
                } else {
                    index = ImageIndex()
                }
                isPrivileged = settings.isPrivileged && Self.givesAway(files.incoming)
                form = settings.form ?? Self.probe(files.incoming)
                files.sweep(
                    blobs: Set(
                        index.images.values.flatMap { [$0.imageID] + $0.manifestDigests.prefix($0.hasManifest ? 1 : 0) }
                    ),
                    layers: Set(index.layers.keys)
                )
            } catch {
                close(lock)
                throw error
            }
        }

        /// A command that is done soon may have it.
        private static func take(_ lock: Int32, _ milliseconds: Int) -> Bool {
            for _ in 0..<max(1, milliseconds / 20) {
                if flock(lock, LOCK_EX | LOCK_NB) == 0 { return true }
                usleep(20_000)
            }
            return false
        }

        /// The user 0 of a namespace may know of no other user.
        private static func givesAway(_ directory: String) -> Bool {
            let file = "\(directory)/.owner-\(getpid())"
            let fd = Glibc.open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
            guard fd >= 0 else { return false }
            defer {
                close(fd)
                unlink(file)
            }
            return fchown(fd, 65_533, 65_533) == 0
        }

        /// How overlayfs's marks can be made here.
        private static func probe(_ directory: String) -> WhiteoutForm {
            guard let place = OpenDirectory(Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else {
                return .none
            }
            let name = ".probe-\(getpid())"
            defer { _ = cweft_remove_tree("\(directory)/\(name)") }
            guard cweft_make_node(place.fd, name, S_IFCHR, 0, 0) == 0, unlinkat(place.fd, name, 0) == 0,
                mkdirat(place.fd, name, 0o700) == 0
            else { return .none }
            // Pods mount their overlays in user namespaces, root's too: no other mark means anything there.
            return cweft_set_attribute(place.fd, name, "user.overlay.opaque", "y", 1) == 0 ? .user : .none
        }
    }

    private init(_ settings: ImageSettings, _ opened: Opened) {
        self.settings = settings
        files = opened.files
        index = opened.index
        form = opened.form
        isPrivileged = opened.isPrivileged
        // Opened above, so there is one.
        lock = OpenDirectory(owning: opened.lock)
        pullGate = Gate(settings.parallelPulls)
    }

    /// Ends pulls in work and waits for them; the directory is free for the next one when the last reference is gone.
    package func shutdown() async {
        for pull in pulls.values { pull.task.cancel() }
        for pull in pulls.values { _ = await pull.task.result }
        await trashTask?.value
        flock(lock.fd, LOCK_UN)
    }

    // MARK: Use

    /// The image behind a reference, fetched when that is due.
    ///
    /// Several who want the same share one pull. The image stays until the next collection, or as long as `retain` says.
    package func resolve(
        _ reference: String,
        options: ResolveOptions = ResolveOptions()
    ) async throws(ImageError) -> UnpackedImage {
        let parsed = try ImageReference(reference)
        let platform = options.platform ?? settings.platform
        // A file is looked at each time: it may hold another image now.
        let isFile = parsed.transport != .registry && parsed.transport != .identity
        if options.policy != .always || parsed.transport == .identity, !isFile || options.policy == .never,
            let found = index.find(parsed), options.platform == nil || platform.fitness(of: found.platform) != nil
        {
            if options.isPinned { try pin(found.imageID) }
            return try use(found, as: parsed, origin: .store, fetched: 0, .zero)
        }
        if options.policy == .never {
            throw ImageError(
                .neverPull,
                "image \"\(reference)\" is not in the store, and its pull policy is Never; load it with 'weft image load', or pull it"
            )
        }
        guard parsed.transport != .identity else {
            throw ImageError(
                .pull,
                "image \"\(reference)\" is not in the store, and no registry is named where it could be"
            )
        }
        return try await pull(parsed, options, platform)
    }

    /// Says that a pod runs from an image: it is not removed until `release`.
    package func retain(_ imageID: Digest, by pod: String) {
        users[pod, default: []].insert(imageID)
        index.images[imageID]?.lastUsed = settings.now()
    }

    /// Says that a pod has ended.
    package func release(by pod: String) {
        for id in users.removeValue(forKey: pod) ?? [] { index.images[id]?.lastUsed = settings.now() }
    }

    /// Who runs from an image.
    func users(of imageID: Digest) -> [String] { users.filter { $0.value.contains(imageID) }.map(\.key).sorted() }

    /// The image with its directories.
    func use(
        _ record: ImageRecord,
        as reference: ImageReference,
        origin: ImageOrigin,
        fetched: Int64,
        _ duration: Duration
    ) throws(ImageError) -> UnpackedImage {
        index.images[record.imageID]?.lastUsed = settings.now()
        guard let bytes = StoreFiles.read(files.blob(record.imageID), limit: ImageConfig.mostBytes),
            Digest(of: bytes) == record.imageID
        else {
            throw ImageError(
                .inspect,
                "the configuration of \(reference.familiar) in the store is gone or damaged; remove it with 'weft image rm \(record.imageID.short)' and fetch it again"
            )
        }
        return UnpackedImage(
            reference: reference.description,
            imageID: record.imageID,
            manifestDigest: record.manifestDigest,
            config: try ImageConfig(bytes),
            layerDirectories: directories(of: record),
            size: index.size(of: record),
            origin: origin,
            fetchedBytes: fetched,
            duration: duration
        )
    }

    /// Whether an overlay shows the layers as they are meant: not where marks cannot be made, or were made by another kind of user.
    func isOverlay(_ chain: [Digest], _ layers: [Digest: LayerRecord]) -> Bool {
        let forms = Set(chain.compactMap { layers[$0]?.form })
        return chain.count < 2 || forms == [form] && form != .none
    }

    private func directories(of record: ImageRecord) -> [String] {
        guard let top = record.chain.last, !isOverlay(record.chain, index.layers) else {
            return record.chain.map { files.content(of: $0) }
        }
        return [files.flat(of: top)]
    }

    // MARK: Lists

    package func list() -> [ImageSummary] {
        index.images.values.map { summary(of: $0) }.sorted {
            ($0.names.first ?? "~", $0.imageID.hex) < ($1.names.first ?? "~", $1.imageID.hex)
        }
    }

    func summary(of record: ImageRecord) -> ImageSummary {
        ImageSummary(
            imageID: record.imageID,
            names: record.names.sorted(),
            manifestDigest: record.manifestDigest,
            platform: record.platform,
            size: index.size(of: record),
            created: record.created,
            stored: record.stored,
            lastUsed: record.lastUsed,
            isPinned: record.isPinned,
            layers: record.chain,
            users: users(of: record.imageID)
        )
    }

    /// What is known of one image, and its configuration as it is stored.
    package func inspect(_ word: String) throws(ImageError) -> (
        summary: ImageSummary, config: [UInt8], directories: [String]
    ) {
        let record = try find(word)
        guard let bytes = StoreFiles.read(files.blob(record.imageID), limit: ImageConfig.mostBytes) else {
            throw ImageError(.inspect, "the configuration of \(word) in the store cannot be read")
        }
        return (summary(of: record), bytes, directories(of: record))
    }

    /// An image by a name, or by the beginning of its digest.
    func find(_ word: String) throws(ImageError) -> ImageRecord {
        if let parsed = try? ImageReference(word), let record = index.find(parsed) { return record }
        let hex = word.hasPrefix("sha256:") ? String(word.dropFirst(7)) : word
        let matches =
            hex.count >= 4 && hex.allSatisfy { $0.isHexDigit }
            ? index.images.values.filter { $0.imageID.hex.hasPrefix(hex) } : []
        if matches.count > 1 {
            throw ImageError(.notFound, "'\(word)' begins the digests of \(matches.count) images; give more digits")
        }
        if let only = matches.first { return only }
        // What is no name at all is said so.
        _ = try ImageReference(word)
        throw ImageError(.notFound, "there is no image '\(word)' in the store; 'weft image list' shows what there is")
    }

    package func currentFigures() -> ImageFigures {
        var now = figures
        now.images = index.images.count
        now.storedBytes = index.layers.values.reduce(0) { $0 + $1.size }
        return now
    }

    func count(_ change: (inout ImageFigures) -> Void) { change(&figures) }

    // MARK: Writing

    /// Writes the index; what it says is true on the disk before it is true here.
    func save(_ new: ImageIndex) throws(ImageError) {
        try files.put(new.bytes, at: files.index, scratch: files.incoming)
        index = new
    }

    func pin(_ imageID: Digest) throws(ImageError) {
        guard index.images[imageID]?.isPinned == false else { return }
        var new = index
        new.images[imageID]?.isPinned = true
        try save(new)
    }

    /// Removes what was put aside, in the background.
    func emptyTrash() {
        let (files, gate, before) = (files, trashGate, trashTask)
        trashTask = Task {
            await before?.value
            guard (try? await gate.enter()) != nil else { return }
            _ = try? await WorkThread.run { (_) throws(ImageError) in files.emptyTrash() }
            await gate.leave()
        }
    }
}
