import EnvoyAPI
import Wire

/// The endpoints of one cluster, each encoded once: a change of one of them leaves the others as they are.
struct EndpointList: Sendable {
    /// Keys of pods, in order; hand-written addresses come behind them.
    private var keys: [String] = []
    private var encoded: [[UInt8]] = []
    /// Endpoints that belong to no pod.
    var fixed: [[UInt8]] = []

    /// Puts an endpoint in its place, or takes it away.
    ///
    /// - Returns: whether the list is different now.
    mutating func set(_ key: String, _ bytes: [UInt8]?) -> Bool {
        let place = position(of: key)
        let isThere = place < keys.count && keys[place] == key
        switch (isThere, bytes) {
        case (false, nil): return false
        case (true, nil):
            keys.remove(at: place)
            encoded.remove(at: place)
        case (false, let bytes?):
            keys.insert(key, at: place)
            encoded.insert(bytes, at: place)
        case (true, let bytes?):
            guard encoded[place] != bytes else { return false }
            encoded[place] = bytes
        }
        return true
    }

    private func position(of key: String) -> Int {
        var low = 0
        var high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The `ClusterLoadAssignment`; `isWeighted`: with a locality of weight 1, without which gRPC looks at no endpoint.
    func assignment(_ cluster: String, isWeighted: Bool) -> DiscoveryResource {
        var message = ProtobufWriter()
        message.text(1, cluster)
        guard !encoded.isEmpty || !fixed.isEmpty else { return DiscoveryResource(name: cluster, bytes: message.bytes) }
        var locality = ProtobufWriter()
        if isWeighted { locality.run(1, Self.place) }
        var group = locality.bytes
        group.reserveCapacity(encoded.reduce(64 + 96 * fixed.count) { $0 + $1.count + 8 })
        for endpoint in encoded { Self.append(endpoint, to: &group) }
        for endpoint in fixed { Self.append(endpoint, to: &group) }
        if isWeighted { group += Self.weight }
        message.run(2, group)
        return DiscoveryResource(name: cluster, bytes: message.bytes)
    }

    private static func append(_ endpoint: [UInt8], to group: inout [UInt8]) {
        group.append(0x12)
        var rest = endpoint.count
        while rest >= 0x80 {
            group.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        group.append(UInt8(rest))
        group.append(contentsOf: endpoint)
    }

    private static let place = Envoy.Locality(region: "weft").protobufBytes

    private static let weight: [UInt8] = {
        var one = ProtobufWriter()
        one.varint(1, 1)
        var writer = ProtobufWriter()
        writer.run(3, one.bytes)
        return writer.bytes
    }()

    /// An `LbEndpoint`.
    static func endpoint(_ address: String, _ port: Int) -> [UInt8] {
        Envoy.LbEndpoint(endpoint: .init(address: .socket(address, port)), healthStatus: .healthy).protobufBytes
    }
}
