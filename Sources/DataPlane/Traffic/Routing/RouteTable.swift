/// A route configuration compiled for matching: virtual hosts by hash, routes in order, all bytes in one arena.
///
/// Immutable. The `view` is what workers use: a plain value that stays valid as long as this object lives.
package final class RouteTable: Sendable {
    package let name: String
    package let view: RouteTableView
    /// Held so that the view's memory lives.
    private let arena: Arena

    init(name: String, view: RouteTableView, arena: Arena) {
        self.name = name
        self.view = view
        self.arena = arena
    }

    /// Bytes held by the compiled form.
    package var size: Int { arena.size }
}

/// The outcome of routing a request.
public enum RouteMatch: BitwiseCopyable {
    case route(UnsafePointer<Route>, VirtualHostPlace)
    /// No virtual host names the authority.
    case noVirtualHost
    /// The virtual host has no route for the request.
    case noRoute(VirtualHostPlace)
    /// The virtual host wants TLS and the request came without: redirect to https.
    case requiresTLS(VirtualHostPlace)
}

/// A virtual host in the memory of its table.
public typealias VirtualHostPlace = UnsafePointer<VirtualHost>

/// The tables of a `RouteTable`, readable by every thread while their owner lives.
///
/// Safety: all pointers lead into the owner's arena, which never changes.
package struct RouteTableView: BitwiseCopyable, @unchecked Sendable {
    var hosts = ArenaArray<VirtualHost>()
    /// Open addressing, a power of two long: index + 1 into `domains`; 0 = empty.
    var buckets = ArenaArray<UInt32>()
    var domains = ArenaArray<Domain>()
    /// The distinct lengths of `*.suffix` and `prefix.*` domains, longest first.
    var suffixLengths = ArenaArray<UInt32>()
    var prefixLengths = ArenaArray<UInt32>()
    /// The host of `*`, or -1.
    var anyHost: Int32 = -1
    /// Compare without the port (`ignore_port_in_host_matching`).
    var ignoresPort = false
    /// Match paths up to the first `;` (`ignore_path_parameters_in_path_matching`).
    var ignoresParameters = false
    /// A route takes CONNECT requests.
    package var takesConnect = false
    /// A route asks for the client's certificate.
    package var asksForCertificate = false
    /// Fields (lower case) that only the house itself may send (`internal_only_headers`).
    package var internalOnly = ArenaArray<ByteRun>()

    struct Domain: BitwiseCopyable {
        enum Kind: UInt8, BitwiseCopyable { case exact = 1, suffix, prefix }
        var kind: Kind
        /// Lower case; without the `*` of wildcards.
        var bytes: ByteRun
        var host: Int32
    }

    /// FNV-1a over the bytes in lower case.
    static func hash(_ bytes: ByteRun, kind: Domain.Kind) -> UInt32 {
        var hash: UInt32 = 0x811C_9DC5 ^ UInt32(kind.rawValue)
        for byte in bytes.buffer {
            let lower = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
            hash = (hash ^ UInt32(lower)) &* 0x0100_0193
        }
        return hash
    }

    private func host(_ bytes: ByteRun, kind: Domain.Kind) -> Int32? {
        let mask = buckets.count - 1
        guard mask >= 0 else { return nil }
        var place = Int(Self.hash(bytes, kind: kind)) & mask
        for _ in 0..<buckets.count {
            let entry = buckets[place]
            guard entry != 0 else { return nil }
            let domain = domains[Int(entry) - 1]
            if domain.kind == kind, domain.bytes.equalsIgnoringCase(bytes) { return domain.host }
            place = (place + 1) & mask
        }
        return nil
    }

    /// The virtual host for an authority by Envoy's precedence: exact, longest `*.suffix`, longest `prefix.*`, `*`.
    package func virtualHost(for authority: ByteRun) -> VirtualHostPlace? {
        let name = ignoresPort ? authority.withoutPort : authority
        return hostIndex(name).map { hosts.pointer(at: Int($0)) }
    }

    private func hostIndex(_ name: ByteRun) -> Int32? {
        if let exact = host(name, kind: .exact) { return exact }
        for index in 0..<suffixLengths.count {
            // The wildcard stands for at least one byte.
            let length = Int(suffixLengths[index])
            if length < name.count, let found = host(name.last(length), kind: .suffix) { return found }
        }
        for index in 0..<prefixLengths.count {
            let length = Int(prefixLengths[index])
            if length < name.count, let found = host(name.first(length), kind: .prefix) { return found }
        }
        return anyHost >= 0 ? anyHost : nil
    }

    /// The first route of the virtual host that matches the request; `random` is 64 fresh random bits, for
    /// `runtime_fraction`.
    package func match(_ request: RequestView, random: UInt64) -> RouteMatch {
        guard let host = virtualHost(for: request.authority) else { return .noVirtualHost }
        if host.pointee.requiresTLS != .none, !request.isTLS,
            host.pointee.requiresTLS == .all || !request.isInternal
        {
            return .requiresTLS(host)
        }
        let draw = UInt32(truncatingIfNeeded: random % 1_000_000)
        var request = request
        if ignoresParameters, let end = request.path.firstIndex(of: 0x3B) { request.path = request.path.first(end) }
        let routes = host.pointee.routes
        for index in 0..<routes.count {
            let route = routes.pointer(at: index)
            if route.pointee.matches(request, draw: draw) { return .route(route, host) }
        }
        return .noRoute(host)
    }
}

extension ByteRun {
    /// A host without `:port`; brackets of an IPv6 literal stay.
    package var withoutPort: ByteRun {
        guard let colon = lastIndex(of: 0x3A) else { return self }
        guard self[0] != 0x5B || self[colon - 1] == 0x5D else { return self }
        for index in (colon + 1)..<max(colon + 1, count) {
            guard let byte = self[index], byte >= 0x30, byte <= 0x39 else { return self }
        }
        return first(colon)
    }
}
