/// Where a registry, or a mirror of one, is reached.
struct RegistryEndpoint: Sendable, Equatable {
    /// With a port where one was given.
    var host: String
    /// What credentials go by.
    var name: String
    /// In the order in which they are tried.
    var schemes: [String]
    var caFile: String?
    var isMirror: Bool

    /// The endpoints of a repository's registry, mirrors first.
    static func all(
        for reference: ImageReference,
        _ configuration: ImageConfiguration,
        allowsPlainHTTP: Bool
    ) -> [RegistryEndpoint] {
        let own = configuration.registry(reference.host)
        var endpoints: [RegistryEndpoint] = []
        for mirror in own.mirrors {
            guard let (scheme, host) = parse(mirror: mirror) else { continue }
            let rule = configuration.registry(host)
            var schemes = schemes(host, isInsecure: rule.isInsecure)
            // Who writes http:// into a mirror's address means it.
            if let scheme { schemes = [scheme] }
            endpoints.append(
                RegistryEndpoint(host: host, name: host, schemes: schemes, caFile: rule.caFile, isMirror: true)
            )
        }
        endpoints.append(
            RegistryEndpoint(
                host: reference.host == "docker.io" ? "registry-1.docker.io" : reference.host,
                name: reference.host,
                schemes: schemes(reference.host, isInsecure: own.isInsecure || allowsPlainHTTP),
                caFile: own.caFile,
                isMirror: false
            )
        )
        return endpoints
    }

    static func parse(mirror text: String) -> (scheme: String?, host: String)? {
        var rest = text[...]
        var scheme: String?
        for known in ["https", "http"] where rest.hasPrefix("\(known)://") {
            scheme = known
            rest = rest.dropFirst(known.count + 3)
            break
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        return ImageReference.isPlace(String(rest)) ? (scheme, String(rest)) : nil
    }

    /// Registries on this machine speak plain HTTP more often than not; all others have to have TLS, unless somebody said otherwise.
    private static func schemes(_ host: String, isInsecure: Bool) -> [String] {
        if isLoopback(host) { return ["http", "https"] }
        return isInsecure ? ["https", "http"] : ["https"]
    }

    static func isLoopback(_ place: String) -> Bool {
        if place.hasPrefix("[::1]") { return true }
        let host = place.split(separator: ":").first.map(String.init) ?? place
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let isAddress = parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
        return host == "localhost" || isAddress && parts[0] == "127"
    }
}

/// The parts of an absolute URL.
package struct PlainURL: Sendable, Equatable {
    package var scheme: String
    /// Host and port.
    package var place: String
    /// Path and query, beginning with `/`.
    package var target: String

    init(scheme: String, place: String, target: String) {
        self.scheme = scheme
        self.place = place
        self.target = target
    }

    /// Nil when it is no http or https URL, or one with a user in it.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[1].hasPrefix("//") else { return nil }
        scheme = parts[0].lowercased()
        let rest = parts[1].dropFirst(2)
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        place = rest[..<end].lowercased()
        target = String(rest[end...].prefix { $0 != "#" })
        if !target.hasPrefix("/") { target = "/" + target }
        let isClean = target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        guard ["http", "https"].contains(scheme), ImageReference.isPlace(place), isClean else { return nil }
    }

    /// Where a `Location` leads from here.
    package func following(_ location: String) -> PlainURL? {
        if location.hasPrefix("//") { return PlainURL("\(scheme):\(location)") }
        if location.hasPrefix("/") { return PlainURL("\(scheme)://\(place)\(location)") }
        return PlainURL(location)
    }

    package var text: String { "\(scheme)://\(place)\(target)" }

    /// Whether credentials for the one are meant for the other, too.
    package func isSameOrigin(_ other: PlainURL) -> Bool {
        func port(_ url: PlainURL) -> String {
            let hasPort = url.place.last != "]" && url.place.contains(":")
            return hasPort ? url.place : "\(url.place):\(url.scheme == "https" ? 443 : 80)"
        }
        return scheme == other.scheme && port(self) == port(other)
    }
}
