import EnvoyAPI
import Wire

extension ConfigurationStore {
    /// A configuration file larger than this is refused.
    static let fileLimit = 64 << 20

    /// Reads a file that is wanted and takes its contents over, as a whole or not at all.
    func read(_ path: String) {
        guard let entry = files[path] else { return }
        let bytes: [UInt8]
        switch FileBytes.read(path, limit: Self.fileLimit) {
        case .success(let contents): bytes = contents
        case .failure(let failure):
            refuse(path, failure.message, counts: entry.goodHash != nil)
            return
        }
        let hash = Self.hash(bytes)
        guard hash != entry.lastHash else { return }
        files[path]?.lastHash = hash
        if hash == entry.goodHash {
            files[path]?.state.error = nil
            return
        }
        do {
            try take(try Self.parse(bytes, onWarning: onWarning), path)
            files[path]?.goodHash = hash
        } catch {
            refuse(path, error.text, counts: true)
        }
    }

    private func refuse(_ path: String, _ message: String, counts: Bool) {
        files[path]?.state.error = message
        if counts { files[path]?.state.rejections += 1 }
        // Names that only the refused contents used have got places.
        changes.removed = true
        onWarning("\(path) is refused, what was read before stays: \(message)")
    }

    private func take(_ response: Envoy.DiscoveryResponse, _ path: String) throws(ConfigurationProblems) {
        var tables: [String: TableEntry] = [:]
        // Everything is checked before anything is changed.
        if tableUsers[path] != nil {
            switch makeTables(response, path: path) {
            case .success(let made): tables = made
            case .failure(let problems): throw problems
            }
        }
        if let users = assignmentUsers[path] {
            let problems = assignmentProblems(response, users: users)
            guard problems.isEmpty else { throw ConfigurationProblems(lines: problems) }
        }
        if path == clusterFile { try setClusters(response.clusters, origin: .file(path), step: "clusters") }
        if path == listenerFile { try setListeners(response.listeners, origin: .file(path), step: "listeners") }
        put(tables)
        let old = files[path]?.response
        files[path]?.response = response
        if let users = assignmentUsers[path] {
            for name in users {
                guard let entry = clusters[name] else { continue }
                let before = old?.clusterLoadAssignments.first { $0.clusterName == entry.assignmentName }
                let after = response.clusterLoadAssignments.first { $0.clusterName == entry.assignmentName }
                if before != after { rebuild(entry) }
            }
        }
        // Complete sets are kept as entries; the message itself would be a second copy.
        if assignmentUsers[path] == nil, tableUsers[path] == nil { files[path]?.response = nil }
        files[path]?.state.version = response.versionInfo
        files[path]?.state.error = nil
        changes.files.insert(path)
    }

    /// The value of a document in JSON or YAML. What begins like JSON is told of in terms of JSON when it is neither.
    static func document(_ bytes: [UInt8]) throws(ConfigurationProblems) -> Value {
        var problem: WireError?
        if bytes.first(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }) == 0x7B {
            do { return try JSON.parse(bytes) } catch { problem = error }
        }
        let documents: [YAMLDocument]
        do {
            documents = try YAML.parse(bytes)
        } catch { throw ConfigurationProblems(lines: ["\(problem ?? error)"]) }
        guard documents.count == 1, let only = documents.first else {
            throw ConfigurationProblems(lines: ["one document is expected, there are \(documents.count)"])
        }
        return only.value
    }

    static func parse(
        _ bytes: [UInt8],
        onWarning: (String) -> Void
    ) throws(ConfigurationProblems) -> Envoy.DiscoveryResponse {
        let value = try document(bytes)
        do {
            var warnings: [SchemaProblem] = []
            let response = try Envoy.DiscoveryResponse.read(value, warnings: &warnings)
            for warning in warnings { onWarning("\(warning)") }
            return response
        } catch {
            throw ConfigurationProblems(lines: error.problems.map(\.description))
        }
    }

    /// FNV-1a, 64 bits, by words: only to see that nothing changed.
    static func hash(_ bytes: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ UInt64(bytes.count)
        bytes.withUnsafeBytes { raw in
            var offset = 0
            while offset + 8 <= raw.count {
                hash = (hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01B3
                hash ^= hash >> 29
                offset += 8
            }
            while offset < raw.count {
                hash = (hash ^ UInt64(raw[offset])) &* 0x100_0000_01B3
                offset += 1
            }
        }
        return hash
    }
}
