import Glibc
import Resources
import Store
import Testing
import Wire

/// A directory for one test, removed with its owner.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/weft-store-XXXXXX".utf8CString)
        path = String(cString: mkdtemp(&template))
    }

    deinit {
        for name in ["store.db", "store.db-wal", "store.db-journal", "store.db.restoring"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
}

/// 2026-01-02T03:04:05Z, always.
let noon = Timestamp(seconds: 1_767_323_045)

func makeStore(limits: SQLiteStore.Limits = SQLiteStore.Limits()) async throws -> SQLiteStore {
    try await SQLiteStore.open(path: ":memory:", limits: limits, clock: { noon })
}

func configMap(_ name: String, _ data: [String: String] = ["key": "value"], labels: [String: String] = [:]) -> Object {
    var object = Object(ResourceTypes.configMaps, namespace: "default", name: name)
    object["data"] = Value.map(data)
    object.labels = labels
    return object
}

func pod(_ name: String, image: String = "web:1", grace: Int? = nil) -> Object {
    var object = Object(ResourceTypes.pods, namespace: "default", name: name)
    object.spec = ["containers": [["name": "main", "image": .string(image)]]]
    if let grace { object.value.set(["spec", "terminationGracePeriodSeconds"], .int(Int64(grace))) }
    return object
}

func service(_ name: String, type: String = "ClusterIP", clusterIP: String? = nil, nodePort: Int? = nil) -> Object {
    var object = Object(ResourceTypes.services, namespace: "default", name: name)
    object.spec = ["type": .string(type), "selector": ["app": .string(name)], "ports": [["port": 80]]]
    if let clusterIP { object.value.set(["spec", "clusterIP"], .string(clusterIP)) }
    if let nodePort { object.spec = object.spec.setting(nodePort: nodePort) }
    return object
}

extension Value {
    func setting(nodePort: Int) -> Value {
        var copy = self
        copy["ports"] = [["port": 80, "nodePort": .int(Int64(nodePort))]]
        return copy
    }
}

func key(_ type: ResourceType, _ name: String) -> ObjectKey { ObjectKey(type, namespace: "default", name: name) }

/// The reason of the refusal, or nil when nothing was refused.
func refusal(_ body: () async throws -> Void) async -> APIError? {
    do {
        try await body()
        return nil
    } catch { return error as? APIError }
}

extension WatchEvents {
    /// The next `count` events as `KIND name`.
    func take(_ count: Int) async throws -> [String] {
        var iterator = makeAsyncIterator()
        var lines: [String] = []
        while lines.count < count, let event = try await iterator.next() {
            lines.append("\(event.kind.rawValue) \(event.object.name)")
        }
        return lines
    }
}

struct FileFailure: Error { let path: String }

func readFile(_ path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { throw FileFailure(path: path) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: Int(lseek(descriptor, 0, SEEK_END)))
    guard pread(descriptor, &bytes, bytes.count, 0) == bytes.count else { throw FileFailure(path: path) }
    return bytes
}

func writeFile(_ path: String, _ bytes: [UInt8]) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0 else { throw FileFailure(path: path) }
    defer { close(descriptor) }
    guard write(descriptor, bytes, bytes.count) == bytes.count else { throw FileFailure(path: path) }
}

func size(of path: String) -> Int { (try? readFile(path).count) ?? 0 }
