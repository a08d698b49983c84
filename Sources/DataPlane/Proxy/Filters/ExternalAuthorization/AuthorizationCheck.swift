import Wire

/// What the service is asked: the facts of a request, written as `envoy.service.auth.v3.CheckRequest`.
struct AuthorizationCheck {
    struct Peer {
        /// Empty: a Unix socket.
        var address = ""
        var port: UInt16 = 0
        var principal = ""
        var certificate = ""
        var service = ""
    }

    var source = Peer()
    var destination = Peer()
    /// Nanoseconds since 1970.
    var time: UInt64 = 0
    var id = ""
    var method: [UInt8] = []
    /// Names in lower case; of several fields of one name, one with all values.
    var headers: [(name: [UInt8], value: [UInt8])] = []
    var path: [UInt8] = []
    var host: [UInt8] = []
    var scheme = "http"
    var size: Int64 = 0
    var protocolName = "HTTP/1.1"
    var body: [UInt8]?
    var isRaw = false
    var extensions: [String: String] = [:]
    var serverName: String?

    /// Adds a field; to one of the name that is there already, its value.
    mutating func add(_ name: [UInt8], _ value: [UInt8]) {
        guard let index = headers.firstIndex(where: { $0.name == name }) else {
            headers.append((name: name, value: value))
            return
        }
        headers[index].value += Array(name == Array("cookie".utf8) ? "; ".utf8 : ",".utf8) + value
    }

    var message: [UInt8] {
        var http = ProtobufWriter()
        http.text(1, id)
        http.run(2, method)
        for (name, value) in headers {
            var entry = ProtobufWriter()
            entry.run(1, name)
            entry.run(2, Self.text(value))
            http.run(3, entry.bytes)
        }
        http.run(4, path)
        http.run(5, host)
        http.text(6, scheme)
        http.varint(9, UInt64(bitPattern: size))
        http.text(10, protocolName)
        if let body { if isRaw { http.run(12, body) } else { http.run(11, Self.text(body)) } }
        var stamp = ProtobufWriter()
        stamp.varint(1, time / 1_000_000_000)
        stamp.varint(2, time % 1_000_000_000)
        var request = ProtobufWriter()
        request.run(1, stamp.bytes)
        request.run(2, http.bytes)
        var attributes = ProtobufWriter()
        attributes.run(1, Self.write(source))
        attributes.run(2, Self.write(destination))
        attributes.run(4, request.bytes)
        for (key, value) in extensions.sorted(by: { $0.key < $1.key }) {
            var entry = ProtobufWriter()
            entry.text(1, key)
            entry.text(2, value)
            attributes.run(10, entry.bytes)
        }
        attributes.run(11, [])
        if let serverName {
            var session = ProtobufWriter()
            session.text(1, serverName)
            attributes.run(12, session.bytes)
        }
        attributes.run(13, [])
        var check = ProtobufWriter()
        check.run(1, attributes.bytes)
        return check.bytes
    }

    private static func write(_ peer: Peer) -> [UInt8] {
        var address = ProtobufWriter()
        if peer.address.isEmpty {
            address.run(2, [])
        } else {
            var socket = ProtobufWriter()
            socket.text(2, peer.address)
            socket.varint(3, UInt64(peer.port))
            address.run(1, socket.bytes)
        }
        var writer = ProtobufWriter()
        writer.run(1, address.bytes)
        if !peer.service.isEmpty { writer.text(2, peer.service) }
        if !peer.principal.isEmpty { writer.text(4, peer.principal) }
        if !peer.certificate.isEmpty { writer.text(5, peer.certificate) }
        return writer.bytes
    }

    /// A `string` has to be UTF-8; what is not becomes `!`.
    static func text(_ bytes: [UInt8]) -> [UInt8] {
        guard String(validating: bytes, as: UTF8.self) == nil else { return bytes }
        return Array(
            String(decoding: bytes, as: UTF8.self).unicodeScalars.flatMap { scalar in
                scalar == "\u{FFFD}" ? Array("!".utf8) : Array(String(scalar).utf8)
            }
        )
    }
}
