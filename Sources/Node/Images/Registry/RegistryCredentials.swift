import Wire

/// Credentials by registries, as `docker login` and Kubernetes' Secrets of the type `kubernetes.io/dockerconfigjson` (or `dockercfg`) hold them.
package struct RegistryCredentials: Sendable, Equatable {
    private var entries: [(place: String, credential: RegistryCredential)] = []

    package static func == (left: RegistryCredentials, right: RegistryCredentials) -> Bool {
        left.entries.elementsEqual(right.entries, by: ==)
    }

    static let mostBytes = 1 << 20

    /// What is no such file is empty: it may belong to another tool.
    package init(_ bytes: [UInt8]) {
        guard bytes.count <= Self.mostBytes, let value = try? JSON.parse(bytes) else { return }
        // The older form has no `auths` around it.
        for (place, item) in (value["auths"] ?? value).fields ?? Fields() {
            guard let credential = Self.credential(item) else { continue }
            entries.append((place, credential))
        }
    }

    private static func credential(_ item: Value) -> RegistryCredential? {
        let token = item["identitytoken"]?.stringValue ?? ""
        if let user = item["username"]?.stringValue, let password = item["password"]?.stringValue, !user.isEmpty {
            return RegistryCredential(user: user, password: password, identityToken: token)
        }
        if let packed = item["auth"]?.stringValue, !packed.isEmpty, let bytes = Base64.decode(packed) {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let colon = text.firstIndex(of: ":") else { return nil }
            let password = text[text.index(after: colon)...].filter { $0 != "\0" }
            return RegistryCredential(user: String(text[..<colon]), password: password, identityToken: token)
        }
        return token.isEmpty ? nil : RegistryCredential(user: "", password: "", identityToken: token)
    }

    /// Those for a repository, the most particular first.
    package func find(host: String, path: String) -> [RegistryCredential] {
        var found: [(rank: Int, credential: RegistryCredential)] = []
        for (place, credential) in entries {
            if let rank = Self.rank(place, host, path) { found.append((rank, credential)) }
        }
        return found.sorted { $0.rank > $1.rank }.map(\.credential)
    }

    private static func rank(_ place: String, _ host: String, _ path: String) -> Int? {
        var rest = place[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        let parts = rest.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard var own = parts.first?.lowercased() else { return nil }
        // What Docker calls its own registry has changed over the years.
        if ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"].contains(own) { own = "docker.io" }
        guard matches(own, host) else { return nil }
        let folders = parts.dropFirst().filter { $0 != "v1" && $0 != "v2" }
        let wanted = path.split(separator: "/").map(String.init)
        guard wanted.starts(with: folders) else { return nil }
        return folders.count * 2 + (own.contains("*") ? 0 : 1)
    }

    /// `*` stands for a part between two dots, or for some of it.
    private static func matches(_ pattern: String, _ host: String) -> Bool {
        guard pattern.contains("*") else { return pattern == host }
        let (labels, own) = (pattern.split(separator: "."), host.split(separator: "."))
        return labels.count == own.count
            && zip(labels, own).allSatisfy { label, word in
                guard let star = label.firstIndex(of: "*") else { return label == word }
                let (head, tail) = (label[..<star], label[label.index(after: star)...])
                return word.count >= head.count + tail.count && word.hasPrefix(head) && word.hasSuffix(tail)
            }
    }
}
