/// A Service as programs name it: `web`, `web.shop`, `web.shop.svc`, `web.shop.svc.cluster.local`, each with a port or without.
package struct ServiceName: Sendable, Equatable {
    package var namespace: String
    package var name: String
    /// Nil: the Service's main port.
    package var port: Int?

    package init(namespace: String, name: String, port: Int? = nil) {
        self.namespace = namespace
        self.name = name
        self.port = port
    }

    /// Nil when the text is no such name; `namespace` is that of a name without one.
    package init?(_ text: String, namespace: String) {
        guard text.utf8.count <= 512 else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, parts.count <= 2 else { return nil }
        if parts.count == 2 {
            guard let number = Int(parts[1]), (1...65535).contains(number) else { return nil }
            port = number
        }
        var labels = host.split(separator: ".", omittingEmptySubsequences: false)[...]
        if labels.last == "" { labels.removeLast() }
        guard let first = labels.popFirst(), !first.isEmpty else { return nil }
        name = String(first)
        self.namespace = labels.popFirst().map(String.init) ?? namespace
        guard !self.namespace.isEmpty, ["", "svc", "svc.cluster.local"].contains(labels.joined(separator: ".")) else {
            return nil
        }
    }

    /// What the Service's listener is kept under.
    var key: String { "\(name).\(namespace)" + (port.map { ":\($0)" } ?? "") }
}
