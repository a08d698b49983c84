import Glibc
import Images

private let memory = memfd_create("layer", 0)

/// Layers, manifests, configurations, references, challenges and credentials: nothing traps, whatever they say.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzImages(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let text = String(decoding: bytes, as: UTF8.self)
    if let reference = try? ImageReference(text) {
        precondition((try? ImageReference(reference.description)) == reference, "a reference is read back as another")
    }
    _ = RegistryChallenge.parse(text)
    _ = RegistryCredentials(bytes).find(host: "docker.io", path: "library/a")
    _ = PlainURL(text)
    _ = try? ImageConfiguration(bytes, file: "fuzz")
    if let config = try? ImageConfig(bytes) { _ = ImageConfig.chainIDs(config.diffIDs) }
    if case .index(let entries)? = try? Manifest(bytes, of: "fuzz") {
        _ = try? Manifest.choose(entries, for: .host, of: "fuzz")
    }
    readLayer(bytes)
    return 0
}

private func readLayer(_ bytes: [UInt8]) {
    guard ftruncate(memory, 0) == 0, pwrite(memory, bytes, bytes.count, 0) == bytes.count else { return }
    var limits = LayerLimits()
    limits.bytes = 1 << 20
    let range = FileRange(path: "/proc/self/fd/\(memory)", offset: 0, size: Int64(bytes.count))
    guard let source = try? LayerReader(range, limits: limits) else { return }
    var tar = TarReader(source, limits: limits)
    var piece = [UInt8](repeating: 0, count: 4096)
    while let entry = try? tar.next() {
        precondition(entry.size >= 0 && entry.size <= limits.bytes, "an entry is larger than allowed")
        while let count = try? tar.read(into: &piece), count > 0 {}
    }
    _ = try? source.finish()
}
