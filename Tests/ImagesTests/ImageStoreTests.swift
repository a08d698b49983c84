import Glibc
import Images
import Synchronization
import Testing

@Suite struct ImageStoreTests {
    /// A layout with one image of two layers, whose first holds `marker`.
    private func layout(_ folder: Folder, _ name: String, _ marker: String, tag: String = "1") throws -> String {
        var first = TarText()
        first.add("etc/", "5")
        first.add("etc/\(marker)", "0", Array(marker.utf8))
        first.add("etc/gone", "0")
        first.add("dir/old", "0")
        first.add("twin", "1", link: "etc/\(marker)")
        var second = TarText()
        second.add("etc/.wh.gone", "0")
        second.add("dir/", "5", mode: 0o711)
        second.add("dir/.wh..wh..opq", "0")
        second.add("dir/new", "0", Array("n".utf8))
        second.add("link", "2", link: "etc/\(marker)")
        let place = try folder.make(name)
        for part in ["blobs", "blobs/sha256"] { _ = try folder.make("\(name)/\(part)") }
        func blob(_ bytes: [UInt8]) throws -> String {
            let digest = Digest(of: bytes)
            _ = try folder.put(bytes, "\(name)/blobs/sha256/\(digest.hex)")
            return #""digest":"\#(digest)","size":\#(bytes.count)"#
        }
        let layers = [first.whole, second.whole]
        let ids = layers.map { "\"\(Digest(of: $0))\"" }.joined(separator: ",")
        let config =
            #"{"os":"linux","architecture":"\#(Platform.host.architecture)","config":{"Cmd":["/x"]},"rootfs":{"diff_ids":[\#(ids)]}}"#
        let stored = try layers.map { "{\(try blob($0))}" }.joined(separator: ",")
        let manifest = #"{"schemaVersion":2,"config":{\#(try blob(Array(config.utf8)))},"layers":[\#(stored)]}"#
        let entry =
            #"{\#(try blob(Array(manifest.utf8))),"annotations":{"org.opencontainers.image.ref.name":"\#(tag)"}}"#
        _ = try folder.put(Array(#"{"manifests":[\#(entry)]}"#.utf8), "\(name)/index.json")
        _ = try folder.put(Array("{}".utf8), "\(name)/oci-layout")
        return place
    }

    /// A clock that is set by hand.
    private final class Clock: Sendable {
        let now = Atomic<Int64>(1000)
    }

    private func settings(_ folder: Folder, _ clock: Clock = Clock()) -> ImageSettings {
        var settings = ImageSettings(directory: "\(folder.path)/store", isPrivileged: false) {
            clock.now.load(ordering: .relaxed)
        }
        settings.configurationFiles = ["\(folder.path)/images.yaml"]
        settings.patience = 20
        return settings
    }

    private func error(_ body: () async throws(ImageError) -> Void) async -> ImageError? {
        do throws(ImageError) { try await body() } catch { return error }
        return nil
    }

    @Test func aLayoutIsResolvedAndStays() async throws {
        let folder = try Folder()
        let place = try layout(folder, "a", "one")
        let store = try await ImageStore.open(settings(folder))
        let first = try await store.resolve("oci:\(place):1")
        #expect(first.config.cmd == ["/x"])
        #expect(first.layerDirectories.count == 2)
        #expect(first.origin == .file(place))
        // The file is looked at again, the layers are there.
        #expect(try await store.resolve("oci:\(place):1").layerDirectories == first.layerDirectories)
        let byID = try await store.resolve(first.imageID.description)
        #expect(byID.origin == .store)
        #expect(byID.statusID == first.imageID.description)
        await store.shutdown()
        let again = try await ImageStore.open(settings(folder))
        #expect(await again.list().map(\.imageID) == [first.imageID])
        await again.shutdown()
    }

    @Test func theErrorSaysWhichReasonAContainerGets() async throws {
        let folder = try Folder()
        let store = try await ImageStore.open(settings(folder))
        var never = ResolveOptions()
        never.policy = .never
        let absent = await error { () throws(ImageError) in
            _ = try await store.resolve("nowhere.test/a:1", options: never)
        }
        #expect(absent?.reason == "ErrImageNeverPull")
        let malformed = await error { () throws(ImageError) in _ = try await store.resolve("A:1") }
        #expect(malformed?.reason == "InvalidImageName")
        let local = await error { () throws(ImageError) in _ = try await store.resolve("localhost/a:1") }
        #expect(local?.reason == "ErrImagePull")
        let silent = await error { () throws(ImageError) in _ = try await store.resolve("127.0.0.1:1/a:1") }
        #expect(silent?.reason == "RegistryUnavailable")
        let file = await error { () throws(ImageError) in _ = try await store.resolve("oci:/nowhere") }
        #expect(file?.reason == "ErrImagePull")
        #expect(await store.currentFigures().failures.values.reduce(0, +) == 3)
        await store.shutdown()
    }

    @Test func whatPodsUseIsNotRemoved() async throws {
        let folder = try Folder()
        let store = try await ImageStore.open(settings(folder))
        let image = try await store.resolve("oci:\(try layout(folder, "a", "one"))")
        await store.retain(image.imageID, by: "pod")
        let refused = await error { () throws(ImageError) in _ = try await store.remove(image.imageID.description) }
        #expect(refused?.kind == .inUse)
        #expect(try await store.prune(isAll: true).deleted.isEmpty)
        await store.release(by: "pod")
        let removal = try await store.remove(image.imageID.short)
        #expect(removal.deleted == [image.imageID])
        #expect(await store.list().isEmpty)
        #expect(access(image.layerDirectories[0], F_OK) != 0)
        await store.shutdown()
    }

    @Test func unusedImagesMakeRoomOldestFirst() async throws {
        let folder = try Folder()
        let clock = Clock()
        // The disk is fuller than that anywhere.
        _ = try folder.put(
            Array("collection: {highPercent: 2, lowPercent: 1, minimumAgeSeconds: 100}\n".utf8),
            "images.yaml"
        )
        let store = try await ImageStore.open(settings(folder, clock))
        let used = try await store.resolve("oci:\(try layout(folder, "a", "one"))")
        let unused = try await store.resolve("oci:\(try layout(folder, "b", "two"))")
        let kept = try await store.load(try layout(folder, "c", "three"))
        await store.retain(used.imageID, by: "pod")
        #expect(await store.collect().deleted.isEmpty)
        clock.now.store(2000, ordering: .relaxed)
        #expect(await store.collect().deleted == [unused.imageID])
        #expect(Set(await store.list().map(\.imageID)) == Set([used.imageID] + kept.map(\.imageID)))
        // They had the upper layer in common only by its content: it lies above another.
        #expect(access(used.layerDirectories[1], F_OK) == 0)
        await store.shutdown()
    }

    @Test func manyWhoWantTheSameShareOnePull() async throws {
        let folder = try Folder()
        let place = try layout(folder, "a", "one")
        let store = try await ImageStore.open(settings(folder))
        let found = await withTaskGroup(of: Digest?.self) { group in
            for _ in 0..<10 { group.addTask { try? await store.resolve("oci:\(place)").imageID } }
            return await group.reduce(into: [Digest?]()) { $0.append($1) }
        }
        #expect(found.count == 10)
        #expect(Set(found).count == 1)
        #expect(found.first != .some(nil))
        #expect(await store.list().count == 1)
        await store.shutdown()
    }

    @Test func rubbishGoesAndDamageIsTold() async throws {
        let folder = try Folder()
        let first = try await ImageStore.open(settings(folder))
        _ = try await first.resolve("oci:\(try layout(folder, "a", "one"))")
        let second = await error { () throws(ImageError) in _ = try await ImageStore.open(settings(folder)) }
        #expect(second?.message.contains("another Weft") == true)
        await first.shutdown()
        let stray = String(repeating: "0", count: 64)
        _ = try folder.make("store/layers/\(stray)")
        _ = try folder.put([1], "store/blobs/sha256/\(stray)")
        _ = try folder.put([1], "store/incoming/part")
        let third = try await ImageStore.open(settings(folder))
        await third.shutdown()
        for name in ["layers/\(stray)", "blobs/sha256/\(stray)", "incoming/part"] {
            #expect(folder.look("store/\(name)") == nil)
        }
        #expect(await third.list().count == 1)
        _ = try folder.put(Array("{".utf8), "store/images.json")
        let damaged = await error { () throws(ImageError) in _ = try await ImageStore.open(settings(folder)) }
        #expect(damaged?.message.contains("images.json") == true)
    }

    @Test func whereNoOverlayShowsThemLayersAreCopiedIntoOne() async throws {
        let folder = try Folder()
        var settings = settings(folder)
        settings.form = WhiteoutForm.none
        let store = try await ImageStore.open(settings)
        let image = try await store.resolve("oci:\(try layout(folder, "a", "one"))")
        try #require(image.layerDirectories.count == 1)
        let root = String(image.layerDirectories[0].dropFirst(folder.path.utf8.count + 1))
        #expect(folder.look("\(root)/etc/one") == "file:one")
        #expect(folder.look("\(root)/etc/gone") == nil)
        #expect(folder.look("\(root)/dir/old") == nil)
        #expect(folder.look("\(root)/dir/new") == "file:n")
        #expect(folder.mode("\(root)/dir") == 0o711)
        #expect(folder.look("\(root)/link") == "link:etc/one")
        var facts = stat()
        #expect(stat("\(image.layerDirectories[0])/twin", &facts) == 0)
        #expect(facts.st_nlink == 2)
        await store.shutdown()
    }
}
