import Resources

/// How the traffic of a Service's port is handled.
package enum ServiceProtocol: Sendable, Equatable {
    case http
    /// HTTP/2 with prior knowledge, gRPC first of all; clients may speak HTTP/1, too.
    case http2
    case tcp
    /// Looked at by connection.
    case detect

    /// Ports of protocols in which the server speaks first, or which are encrypted, by their registered numbers.
    private static let opaquePorts: Set<Int> = [
        21, 22, 25, 110, 143, 389, 443, 465, 587, 636, 993, 995, 1433, 1521, 2181, 2379, 3306, 4222, 4444, 5432, 5671,
        5672,
        6379, 6432, 6443, 8443, 9042, 9092, 9300, 11211, 26379, 27017, 33060,
    ]
    private static let httpNames: Set<String> = ["http", "http1", "ws", "kubernetes.io/ws"]
    private static let tcpNames: Set<String> = [
        "tcp", "tls", "https", "wss", "kubernetes.io/wss", "amqp", "cassandra", "ftp", "imap", "kafka", "ldap",
        "memcached",
        "mongo", "mongodb", "mysql", "nats", "pgsql", "pop3", "postgres", "postgresql", "redis", "smtp", "ssh",
        "grpcs",
    ]
    private static let http2Names: Set<String> = ["grpc", "h2c", "http2", "kubernetes.io/h2c"]

    /// By `appProtocol`, else by the port's name (`http`, `http-api`), else by well-known numbers; what is left is looked
    /// at.
    package init(_ port: MeshService.Port) {
        var ports = [port.port]
        if case .number(let target) = port.target { ports.append(target) }
        let stem = String(port.name.split(separator: "-", maxSplits: 1).first ?? "")
        for name in [port.appProtocol?.lowercased() ?? "", stem] where !name.isEmpty {
            if Self.httpNames.contains(name) {
                self = .http
                return
            }
            if Self.http2Names.contains(name) {
                self = .http2
                return
            }
            if Self.tcpNames.contains(name) {
                self = .tcp
                return
            }
        }
        self = ports.contains { Self.opaquePorts.contains($0) } ? .tcp : .detect
    }
}
