import Glibc

/// What a registry has for a reference: the plan of the image, and the session that fetches its layers.
struct RegistryPull: Sendable {
    let plan: ImagePlan
    let session: RegistrySession

    /// Asks the mirrors and then the registry, each with every credential that is meant for it. Blocks.
    static func find(
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ platform: Platform,
        _ configuration: ImageConfiguration,
        credentialFiles: [String],
        _ cancellation: Cancellation,
        note: (String) -> Void
    ) throws(ImageError) -> RegistryPull {
        var failure = ImageError(.pull, "image \(reference.familiar): there is nobody to ask")
        for endpoint in RegistryEndpoint.all(for: reference, configuration, allowsPlainHTTP: options.allowsPlainHTTP) {
            let credentials = credentials(for: endpoint, reference, options, credentialFiles)
            // Without any it is asked as anybody; with some, as each of them, and at last as anybody.
            for credential in credentials.map(Optional.some) + [nil] {
                let session = RegistrySession(
                    endpoint,
                    reference,
                    credential,
                    configuration,
                    allowsPlainHTTP: options.allowsPlainHTTP
                )
                do throws(ImageError) {
                    let plan = try Self.plan(session, reference, platform, configuration.limits, cancellation)
                    return RegistryPull(plan: plan, session: session)
                } catch {
                    if error.kind == .cancelled { throw error }
                    // The first refusal says more than the one to anybody.
                    if credential != nil || credentials.isEmpty || endpoint.isMirror { failure = error }
                    if error.kind == .unavailable || !credentials.isEmpty && credential == nil { break }
                    guard error.isDenied else { break }
                }
            }
            if endpoint.isMirror { note("mirror \(endpoint.host): \(failure.message)") }
        }
        throw failure
    }

    private static func credentials(
        for endpoint: RegistryEndpoint,
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ files: [String]
    ) -> [RegistryCredential] {
        var found: [RegistryCredential] = []
        if let given = options.credential, !endpoint.isMirror { found.append(given) }
        for secret in options.secrets {
            found += RegistryCredentials(secret).find(host: endpoint.name, path: reference.path)
        }
        for file in files {
            guard let bytes = StoreFiles.read(file, limit: RegistryCredentials.mostBytes) else { continue }
            found += RegistryCredentials(bytes).find(host: endpoint.name, path: reference.path)
        }
        var seen: Set<RegistryCredential> = []
        return found.filter { seen.insert($0).inserted }
    }

    private static func plan(
        _ session: RegistrySession,
        _ reference: ImageReference,
        _ platform: Platform,
        _ limits: ImageConfiguration.Limits,
        _ cancellation: Cancellation
    ) throws(ImageError) -> ImagePlan {
        let caller = HTTPCaller(cancellation)
        let place = "image \(reference.familiar)"
        var (bytes, digest) = try session.manifest(
            caller,
            reference.digest?.description ?? reference.tag ?? "latest",
            cancellation
        )
        var digests = [digest]
        for _ in 0..<4 {
            switch try Manifest(bytes, of: place) {
            case .index(let entries):
                let chosen = try Manifest.choose(entries, for: platform, of: place)
                (bytes, digest) = try session.manifest(caller, chosen.digest.description, cancellation)
                digests.insert(digest, at: 0)
            case .image(let config, let layers):
                let text = try session.blob(caller, config, limit: ImageConfig.mostBytes, cancellation)
                for layer in layers {
                    guard layer.size <= limits.downloadBytes else {
                        throw ImageError(
                            .pull,
                            "\(place): a layer has \(layer.size) bytes, which is refused (downloadBytes of images.yaml)"
                        )
                    }
                    guard !layer.isForeign else {
                        throw ImageError(
                            .pull,
                            "\(place): a layer lies outside of the registry (\(layer.mediaType)), which is not fetched"
                        )
                    }
                }
                return try ImagePlan(
                    names: [reference.description],
                    configBytes: text,
                    manifestBytes: bytes,
                    manifestDigests: digests,
                    layers: layers.map {
                        ImagePlan.Layer(place: .registry($0), digest: $0.digest, name: $0.digest.short)
                    },
                    origin: .registry(session.endpoint.host),
                    of: place
                )
            }
        }
        throw ImageError(.inspect, "\(place): its lists of manifests are nested too deep")
    }
}

extension ImageStore {
    func fetchFromRegistry(
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ platform: Platform,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Pulled {
        let (configuration, settings) = (try configuration(), settings)
        let found = try await WorkThread.run { (cancellation) throws(ImageError) in
            try RegistryPull.find(
                reference,
                options,
                platform,
                configuration,
                credentialFiles: settings.credentialFiles,
                cancellation
            ) { fan.tell(.note($0)) }
        }
        var plan = found.plan
        let host = found.session.endpoint.host
        fan.tell(.resolved(reference: reference.description, source: host))
        let chain = ImageConfig.chainIDs(plan.config.diffIDs)
        hold(chain)
        defer { letGo(chain) }
        let scratch = try files.scratch()
        defer {
            files.discard(scratch)
            emptyTrash()
        }
        let missing = missing(of: plan, chain)
        let bytes = try await download(plan, missing, found.session, scratch, fan)
        for number in missing {
            guard case .registry(let descriptor) = plan.layers[number].place else { continue }
            let file = FileRange(path: "\(scratch)/\(descriptor.digest.hex)", offset: 0, size: descriptor.size)
            plan.layers[number].place = .file(file)
        }
        try await install(plan, isPinned: options.isPinned, scratch: scratch, fan)
        return Pulled(imageID: plan.imageID, origin: .registry(host), bytes: bytes, duration: .zero)
    }

    /// Fetches layers side by side; the bytes that came.
    private func download(
        _ plan: ImagePlan,
        _ missing: [Int],
        _ session: RegistrySession,
        _ scratch: String,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Int64 {
        // The same layer may stand in an image twice.
        var wanted: [Digest: Descriptor] = [:]
        for number in missing {
            if case .registry(let descriptor) = plan.layers[number].place { wanted[descriptor.digest] = descriptor }
        }
        let total = wanted.values.reduce(Int64(0)) { $0 + $1.size }
        let limits = try configuration().limits
        if let free = DiskSpace.free(at: scratch), free - total < limits.layer.freeBytes {
            throw ImageError(
                .store,
                "the image has \(total >> 20) MB packed, and the disk \(free >> 20) MB free; remove what is not needed: weft image prune"
            )
        }
        let gate = Gate(settings.parallelDownloads)
        let results = await withTaskGroup(of: Result<Void, ImageError>.self) { group in
            for descriptor in wanted.values.sorted(by: { $0.size > $1.size }) {
                group.addTask {
                    await Self.fetch(descriptor, session, "\(scratch)/\(descriptor.digest.hex)", gate, fan)
                }
            }
            var first: ImageError?
            for await result in group {
                guard case .failure(let error) = result, first == nil else { continue }
                first = error
                group.cancelAll()
            }
            return first
        }
        if let results { throw results }
        return total
    }

    private static func fetch(
        _ descriptor: Descriptor,
        _ session: RegistrySession,
        _ file: String,
        _ gate: Gate,
        _ fan: ProgressFan
    ) async -> Result<Void, ImageError> {
        do throws(ImageError) {
            try await gate.enter()
        } catch { return .failure(error) }
        let result: Result<Void, ImageError>
        do throws(ImageError) {
            try await WorkThread.run { (cancellation) throws(ImageError) in
                let name = descriptor.digest.short
                let step = max(1 << 20, descriptor.size / 50)
                var told: Int64 = 0
                fan.tell(.downloading(layer: name, done: 0, total: descriptor.size))
                try session.download(HTTPCaller(cancellation), descriptor, to: file, cancellation) { done in
                    guard done - told >= step || done == descriptor.size || done < told else { return }
                    told = done
                    fan.tell(.downloading(layer: name, done: done, total: descriptor.size))
                }
            }
            result = .success(())
        } catch { result = .failure(error) }
        await gate.leave()
        return result
    }
}
