import Bytes
import Glibc

extension ImageStore {
    /// Pulls that differ in any of it are not shared.
    struct PullKey: Hashable {
        var reference: String
        var platform: String
        var secrets: [[UInt8]]
        var credential: RegistryCredential?
        var allowsPlainHTTP: Bool
        var isAlways: Bool
    }

    /// A pull in work and those who wait for it.
    struct Pull {
        var task: Task<Pulled, any Error>
        var waiters: Int
        var watchers: ProgressFan
    }

    struct Pulled: Sendable {
        var imageID: Digest
        var origin: ImageOrigin
        var bytes: Int64
        var duration: Duration
    }

    /// Joins a pull of the same image, or begins one.
    func pull(
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ platform: Platform
    ) async throws(ImageError) -> UnpackedImage {
        let key = PullKey(
            reference: reference.description,
            platform: platform.description,
            secrets: options.secrets,
            credential: options.credential,
            allowsPlainHTTP: options.allowsPlainHTTP,
            isAlways: options.policy == .always
        )
        if pulls[key] == nil {
            let fan = ProgressFan()
            let task = Task { () async throws -> Pulled in
                defer { self.pulls[key] = nil }
                return try await self.fetchCounted(reference, options, platform, fan)
            }
            pulls[key] = Pull(task: task, waiters: 0, watchers: fan)
        }
        guard let pull = pulls[key] else { throw ImageError(.store, "the pull of \(reference.familiar) is gone") }
        pulls[key]?.waiters += 1
        let watcher = options.progress.map { pull.watchers.add($0) }
        defer { if let watcher { pull.watchers.remove(watcher) } }
        let result = await withTaskCancellationHandler {
            await pull.task.result
        } onCancel: {
            Task { await self.leave(key) }
        }
        do {
            let pulled = try result.get()
            guard let record = index.images[pulled.imageID] else {
                throw ImageError(.pull, "image \(reference.familiar) was removed while it was pulled")
            }
            if options.isPinned { try pin(record.imageID) }
            return try use(record, as: reference, origin: pulled.origin, fetched: pulled.bytes, pulled.duration)
        } catch let error as ImageError {
            throw error
        } catch {
            throw ImageError(.cancelled, "the pull of \(reference.familiar) was given up")
        }
    }

    /// One who waited gives up; the last one ends the pull.
    private func leave(_ key: PullKey) {
        guard let pull = pulls[key] else { return }
        pulls[key]?.waiters -= 1
        if pull.waiters <= 1 { pull.task.cancel() }
    }

    private func fetchCounted(
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ platform: Platform,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Pulled {
        let clock = ContinuousClock()
        let start = clock.now
        try await pullGate.enter()
        do throws(ImageError) {
            collect()
            var pulled = try await fetch(reference, options, platform, fan)
            await pullGate.leave()
            pulled.duration = clock.now - start
            let (seconds, attoseconds) = pulled.duration.components
            let bytes = UInt64(pulled.bytes)
            count {
                $0.pulls += 1
                $0.fetchedBytes += bytes
                $0.pullMicroseconds += UInt64(seconds) * 1_000_000 + UInt64(attoseconds / 1_000_000_000_000)
            }
            collect()
            return pulled
        } catch {
            await pullGate.leave()
            count { $0.failures[error.kind.rawValue, default: 0] += 1 }
            throw error
        }
    }

    private func fetch(
        _ reference: ImageReference,
        _ options: ResolveOptions,
        _ platform: Platform,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Pulled {
        guard reference.transport == .registry else {
            return try await fetchFile(reference, platform, isPinned: options.isPinned, fan)
        }
        if options.policy != .always || reference.isLocalOnly,
            let pulled = try await fetchFromEngines(reference, platform, isPinned: options.isPinned, fan)
        {
            return pulled
        }
        guard !reference.isLocalOnly else {
            if let found = index.find(reference) {
                return Pulled(imageID: found.imageID, origin: .store, bytes: 0, duration: .zero)
            }
            throw ImageError(
                .pull,
                "image \"\(reference.familiar)\" is of this machine alone, and neither in the store nor in the storage of podman or Docker; load it with 'weft image load'"
            )
        }
        return try await fetchFromRegistry(reference, options, platform, fan)
    }

    private func fetchFile(
        _ reference: ImageReference,
        _ platform: Platform,
        isPinned: Bool,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Pulled {
        let ids = try await load(
            reference.path,
            wanted: reference.tag,
            name: reference.description,
            platform: platform,
            isPinned: isPinned,
            origin: .file(reference.path),
            fan
        )
        guard let id = ids.first else { throw ImageError(.pull, "\(reference.path) holds no image") }
        return Pulled(imageID: id, origin: .file(reference.path), bytes: 0, duration: .zero)
    }
}

/// Tells everybody who waits for a pull how far it is.
final class ProgressFan: Sendable {
    private let watchers = Lock<(next: Int, all: [Int: @Sendable (PullProgress) -> Void])>((0, [:]))

    func add(_ watcher: @escaping @Sendable (PullProgress) -> Void) -> Int {
        watchers.withLock { state in
            state.next += 1
            state.all[state.next] = watcher
            return state.next
        }
    }

    func remove(_ id: Int) { watchers.withLock { state in state.all[id] = nil } }

    func tell(_ progress: PullProgress) {
        for watcher in watchers.withLock({ state in Array(state.all.values) }) { watcher(progress) }
    }
}
