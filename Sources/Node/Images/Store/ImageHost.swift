import Glibc

/// The store of a daemon, opened when somebody first wants it: one that was cut off may have to be cleaned, and another process may be
/// about to let go of it.
package actor ImageHost {
    package nonisolated let settings: ImageSettings
    private var opened: Task<ImageStore, any Error>?

    package init(_ settings: ImageSettings) { self.settings = settings }

    /// The store.
    ///
    /// - Throws: `ImageError` when it cannot be opened; the next one who asks tries again.
    package func store() async throws(ImageError) -> ImageStore {
        let settings = settings
        let task = opened ?? Task { () async throws -> ImageStore in try await ImageStore.open(settings) }
        opened = task
        do { return try await task.value } catch {
            if opened == task { opened = nil }
            throw error as? ImageError ?? ImageError(.store, "\(error)")
        }
    }

    /// Opens the store when there is one already, so that what a kill left goes soon.
    package func openExisting() async {
        guard access(settings.directory, F_OK) == 0 else { return }
        _ = try? await store()
    }

    /// Figures; nil while nobody has wanted the store.
    package func figures() async -> ImageFigures? {
        guard let store = try? await opened?.value else { return nil }
        return await store.currentFigures()
    }

    /// Ends what is in work and lets go of the directory.
    package func shutdown() async {
        guard let store = try? await opened?.value else { return }
        await store.shutdown()
        opened = nil
    }
}

extension ImageStore {
    /// How many images a directory holds that nobody has open; 0 when it is no store.
    package static func count(in directory: String) -> Int {
        guard let bytes = StoreFiles.read("\(directory)/images.json", limit: ImageIndex.mostBytes) else { return 0 }
        // What cannot be read is not thrown away.
        return (try? ImageIndex(bytes))?.images.count ?? 1
    }
}
