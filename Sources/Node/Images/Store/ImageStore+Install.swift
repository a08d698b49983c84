import CWeft
import Glibc

extension ImageStore {
    /// What `load` takes beside the path.
    package struct LoadOptions: Sendable {
        /// One of the images in the file, by its tag or name.
        package var wanted: String?
        /// What it is to be called.
        package var name: String?
        package var platform: Platform?
        package var progress: (@Sendable (PullProgress) -> Void)?

        package init() {}
    }

    /// Takes images from an OCI layout (a directory or a tar) or an archive of `docker save`. They stay until somebody removes them.
    package func load(_ path: String, _ options: LoadOptions = LoadOptions()) async throws(ImageError) -> [ImageSummary]
    {
        let fan = ProgressFan()
        if let progress = options.progress { _ = fan.add(progress) }
        var name: String?
        if let text = options.name {
            let parsed = try ImageReference(text)
            guard parsed.transport == .registry, parsed.digest == nil else {
                throw ImageError(.invalidName, "'\(text)' cannot be an image's name; give one such as shop/web:1.2")
            }
            name = parsed.description
        }
        let ids = try await load(
            path,
            wanted: options.wanted,
            name: name,
            platform: options.platform ?? settings.platform,
            isPinned: true,
            origin: .file(path),
            fan
        )
        return ids.compactMap { index.images[$0] }.map { summary(of: $0) }
    }

    func load(
        _ path: String,
        wanted: String?,
        name: String?,
        platform: Platform,
        isPinned: Bool,
        origin: ImageOrigin,
        _ fan: ProgressFan
    ) async throws(ImageError) -> [Digest] {
        let (files, limits) = (files, try configuration().limits)
        let scratch = try files.scratch()
        defer {
            files.discard(scratch)
            emptyTrash()
        }
        let plans = try await WorkThread.run { (cancellation) throws(ImageError) in
            let content = try BlobFiles(path, scratch: scratch, limits: limits.layer, cancellation)
            return try ImageFile(files: content, platform: platform).plans(wanted: wanted, name: name)
        }
        var ids: [Digest] = []
        for var plan in plans {
            plan.origin = origin
            fan.tell(.resolved(reference: plan.names.first ?? plan.imageID.description, source: path))
            try await install(plan, isPinned: isPinned, scratch: scratch, fan)
            ids.append(plan.imageID)
        }
        return ids
    }

    /// Layers of a plan that are not unpacked yet, by their place. The others are held from now on: `letGo` gives them back.
    func missing(of plan: ImagePlan, _ chain: [Digest]) -> [Int] {
        chain.indices.filter { index.layers[chain[$0]] == nil }
    }

    func hold(_ chain: [Digest]) { for id in chain { held[id, default: 0] += 1 } }

    func letGo(_ chain: [Digest]) {
        for id in chain {
            held[id, default: 1] -= 1
            if held[id] ?? 0 <= 0 { held[id] = nil }
        }
    }

    /// Unpacks what misses of an image whose layers are all in files, and writes it down.
    func install(
        _ plan: ImagePlan,
        isPinned: Bool,
        scratch: String,
        _ fan: ProgressFan
    ) async throws(ImageError) {
        let chain = ImageConfig.chainIDs(plan.config.diffIDs)
        hold(chain)
        defer { letGo(chain) }
        try await unpackGate.enter()
        do throws(ImageError) {
            try await unpackAll(plan, chain, isPinned: isPinned, scratch, fan)
            await unpackGate.leave()
        } catch {
            await unpackGate.leave()
            throw error
        }
    }

    private func unpackAll(
        _ plan: ImagePlan,
        _ chain: [Digest],
        isPinned: Bool,
        _ scratch: String,
        _ fan: ProgressFan
    ) async throws(ImageError) {
        let limits = try configuration().limits
        var total = chain.reduce(0) { $0 + (index.layers[$1]?.size ?? 0) }
        var made: [Digest: LayerRecord] = [:]
        for (number, id) in chain.enumerated() {
            guard index.layers[id] == nil, made[id] == nil else {
                fan.tell(.present(layer: plan.layers[number].name))
                continue
            }
            fan.tell(.unpacking(layer: plan.layers[number].name, number: number + 1, of: chain.count))
            let job = UnpackJob(
                files: files,
                layer: plan.layers[number],
                diffID: plan.config.diffIDs[number],
                chain: Array(chain[...number]),
                form: form,
                isPrivileged: isPrivileged,
                limits: limits.layer,
                scratch: scratch
            )
            let record = try await WorkThread.run { (cancellation) throws(ImageError) in try job.run(cancellation) }
            made[id] = record
            total += record.size
            guard total <= limits.imageBytes else {
                throw ImageError(
                    .pull,
                    "the image unpacks to more than \(limits.imageBytes) bytes, which is refused (imageBytes of images.yaml)"
                )
            }
        }
        let (files, isNew, isPrivileged) = (files, !made.isEmpty, isPrivileged)
        if !isOverlay(chain, index.layers.merging(made) { $1 }) {
            try await WorkThread.run { (cancellation) throws(ImageError) in
                try files.flatten(chain, isPrivileged: isPrivileged, scratch: scratch, cancellation)
            }
        }
        try await WorkThread.run { (_) throws(ImageError) in
            // First the content, then the word that it is there.
            if isNew { try files.sync() }
            try files.put(plan.configBytes, at: files.blob(plan.imageID), scratch: scratch)
            if let manifest = plan.manifestBytes, let digest = plan.manifestDigests.first {
                try files.put(manifest, at: files.blob(digest), scratch: scratch)
            }
        }
        try record(plan, chain, made, isPinned: isPinned)
    }

    private func record(
        _ plan: ImagePlan,
        _ chain: [Digest],
        _ made: [Digest: LayerRecord],
        isPinned: Bool
    ) throws(ImageError) {
        var new = index
        new.layers.merge(made) { $1 }
        let now = settings.now()
        let before = new.images[plan.imageID]
        // A name means one image: it moves here.
        for id in Array(new.images.keys) { new.images[id]?.names.removeAll { plan.names.contains($0) } }
        new.images[plan.imageID] = ImageRecord(
            imageID: plan.imageID,
            names: Array(Set((before?.names ?? []) + plan.names)).sorted(),
            manifestDigests: plan.manifestDigests.isEmpty ? before?.manifestDigests ?? [] : plan.manifestDigests,
            hasManifest: plan.manifestBytes != nil || before?.hasManifest == true,
            chain: chain,
            platform: plan.config.platform,
            created: plan.config.created,
            stored: before?.stored ?? now,
            lastUsed: now,
            isPinned: isPinned || before?.isPinned == true
        )
        try save(new)
    }
}

extension StoreFiles {
    /// Makes one directory of a stack of layers, unless there is one.
    func flatten(
        _ chain: [Digest],
        isPrivileged: Bool,
        scratch: String,
        _ cancellation: Cancellation
    ) throws(ImageError) {
        guard let top = chain.last, access(flat(of: top), F_OK) != 0 else { return }
        let place = "\(scratch)/flat-\(top.hex)"
        guard mkdir(place, 0o755) == 0 else { throw Self.failure("make", place, errno) }
        var assembly = try LayerAssembly(into: place, isPrivileged: isPrivileged, cancellation)
        for layer in chain {
            let bytes = Self.read(whiteouts(of: layer), limit: 256 << 20) ?? []
            try assembly.add(content(of: layer), Whiteouts(bytes))
        }
        try Self.move(place, to: flat(of: top))
    }

    func sync() throws(ImageError) {
        guard let place = OpenDirectory(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else {
            throw Self.failure("open", path, errno)
        }
        let error = cweft_sync(place.fd)
        guard error == 0 else { throw Self.failure("write", path, error) }
    }
}

/// Unpacks one layer into its place: in a directory of its own first, renamed when its sums are right.
struct UnpackJob: Sendable {
    let files: StoreFiles
    let layer: ImagePlan.Layer
    let diffID: Digest
    /// Of this layer and those below, lowest first.
    let chain: [Digest]
    let form: WhiteoutForm
    let isPrivileged: Bool
    let limits: LayerLimits
    let scratch: String

    func run(_ cancellation: Cancellation) throws(ImageError) -> LayerRecord {
        guard case .file(let range) = layer.place, let id = chain.last else {
            throw ImageError(.store, "the layer \(layer.name) was not fetched")
        }
        let place = "\(scratch)/layer-\(id.hex)"
        guard mkdir(place, 0o700) == 0, mkdir("\(place)/diff", 0o700) == 0 else {
            throw StoreFiles.failure("make", place, errno)
        }
        try DiskSpace.require(limits.freeBytes, at: place)
        let source = try LayerReader(range, limits: limits)
        source.isCancelled = { cancellation.isCancelled }
        var lower: [(directory: String, whiteouts: Whiteouts)] = []
        for below in chain.dropLast() {
            let bytes = StoreFiles.read(files.whiteouts(of: below), limit: 256 << 20) ?? []
            lower.append((files.content(of: below), Whiteouts(bytes)))
        }
        var unpacker = try LayerUnpacker(
            into: "\(place)/diff",
            above: lower,
            form: form,
            isPrivileged: isPrivileged,
            limits: limits
        )
        let outcome = try unpacker.unpack(source)
        if let digest = layer.digest, outcome.packed != digest {
            throw ImageError(.pull, "the layer \(digest) is damaged: its bytes sum up to \(outcome.packed)")
        }
        guard outcome.plain == diffID else {
            throw ImageError(
                .pull,
                "the layer \(layer.name) is not what the image's configuration says: \(outcome.plain) in place of \(diffID)"
            )
        }
        try files.put(outcome.whiteouts.bytes, at: "\(place)/whiteouts", scratch: scratch)
        // What is there without being known is rubbish.
        files.discard(files.layer(id))
        try StoreFiles.move(place, to: files.layer(id))
        return LayerRecord(diffID: diffID, size: outcome.size, form: form, skipped: outcome.skipped)
    }
}
