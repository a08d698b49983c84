/// The types of resources that are served over xDS, in the order in which a change is told: what refers comes after what it
/// refers to.
package enum DiscoveryType: Int, CaseIterable, Sendable, Hashable {
    case secret
    case cluster
    case endpoints
    case listener
    case route

    private static let prefix = "type.googleapis.com/"

    /// The `type_url`.
    package var url: String { Self.prefix + message }

    private var message: String {
        switch self {
        case .secret: "envoy.extensions.transport_sockets.tls.v3.Secret"
        case .cluster: "envoy.config.cluster.v3.Cluster"
        case .endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment"
        case .listener: "envoy.config.listener.v3.Listener"
        case .route: "envoy.config.route.v3.RouteConfiguration"
        }
    }

    /// For people: `CDS`.
    package var shortName: String {
        switch self {
        case .secret: "SDS"
        case .cluster: "CDS"
        case .endpoints: "EDS"
        case .listener: "LDS"
        case .route: "RDS"
        }
    }

    /// Nil for a type that is not served.
    package init?(url: String) {
        guard let found = Self.allCases.first(where: { $0.url == url }) else { return nil }
        self = found
    }

    /// A state-of-the-world response of this type is the whole set: what is not in it is deleted. Only such types can be
    /// subscribed to as a whole.
    package var isComplete: Bool { self == .cluster || self == .listener }
}

/// One resource as its clients get it: encoded once, shared by all.
package struct DiscoveryResource: Sendable, Equatable {
    package let name: String
    /// The message, without its envelope.
    package let bytes: [UInt8]
    /// Made of the bytes: equal resources have equal digests, in every run. Never 0.
    package let digest: UInt64

    package init(name: String, bytes: [UInt8]) {
        self.init(name: name, bytes: bytes, digest: DiscoveryDigest.of(bytes))
    }

    package init(name: String, bytes: [UInt8], digest: UInt64) {
        self.name = name
        self.bytes = bytes
        self.digest = digest
    }

    /// The version that clients see.
    package var version: String { DiscoveryDigest.text(digest) }
}

/// What changed in the resources of one type.
package struct DiscoveryUpdate: Sendable, Equatable {
    package let type: DiscoveryType
    package var changed: [DiscoveryResource]
    package var removed: [String]

    package init(_ type: DiscoveryType, changed: [DiscoveryResource] = [], removed: [String] = []) {
        self.type = type
        self.changed = changed
        self.removed = removed
    }

    package var isEmpty: Bool { changed.isEmpty && removed.isEmpty }
}

/// Digests of resources and of sets of them, and their text as versions.
package enum DiscoveryDigest {
    /// Of some bytes, eight at a time; never 0.
    package static func of(_ bytes: [UInt8]) -> UInt64 {
        bytes.withUnsafeBytes { raw in
            var state = 0x9E37_79B9_7F4A_7C15 ^ UInt64(raw.count)
            var offset = 0
            while offset + 8 <= raw.count {
                state = mixed(state ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                offset += 8
            }
            var rest: UInt64 = 0
            while offset < raw.count {
                rest = rest << 8 | UInt64(raw[offset])
                offset += 1
            }
            return max(1, mixed(state ^ rest &* 0xFF51_AFD7_ED55_8CCD))
        }
    }

    /// One resource's part in the digest of a set, which is the sum of the parts.
    package static func part(_ name: String, _ digest: UInt64) -> UInt64 {
        mixed(of(Array(name.utf8)) ^ mixed(digest))
    }

    /// Sixteen hexadecimal digits.
    package static func text(_ digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The digest behind a version, or nil when it is no version of ours.
    package static func parse(_ version: String) -> UInt64? {
        version.utf8.count == 16 ? UInt64(version, radix: 16) : nil
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 29)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 32)
    }
}
