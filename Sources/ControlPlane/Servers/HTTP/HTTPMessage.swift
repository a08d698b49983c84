/// The header fields of a message, in order; names are compared without regard to case.
package struct HTTPFields: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    package struct Entry: Sendable, Equatable {
        package var name: String
        package var value: String
    }

    package private(set) var entries: [Entry] = []

    package init() {}

    package init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { add(name, value) }
    }

    /// The first value of a field. Setting replaces all values; nil removes them.
    package subscript(name: String) -> String? {
        get { entries.first { Self.same($0.name, name) }?.value }
        set {
            entries.removeAll { Self.same($0.name, name) }
            if let newValue { add(name, newValue) }
        }
    }

    /// Every value of a field.
    package func all(_ name: String) -> [String] {
        entries.filter { Self.same($0.name, name) }.map(\.value)
    }

    package mutating func add(_ name: String, _ value: String) {
        entries.append(Entry(name: name, value: value))
    }

    static func same(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count
            && zip(left.utf8, right.utf8).allSatisfy { $0 == $1 || ($0 | 0x20 == $1 | 0x20 && isLetter($0)) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
}

/// How a request came, and what is known of who sent it.
package struct RequestOrigin: Sendable, Equatable {
    package enum Transport: Sendable, Equatable { case unix, tcp, tls }

    package var transport = Transport.unix
    /// The user at the other end as the kernel has it, for Unix sockets and for connections within this machine.
    package var uid: UInt32?
    /// The peer's address; empty on Unix sockets.
    package var address = ""
    /// What the peer's certificate says, which an authority of ours has signed.
    package var certificate: PeerName?

    package init() {}
}

/// The names in a client's certificate.
package struct PeerName: Sendable, Equatable {
    package var name: String
    package var groups: [String]

    package init(name: String, groups: [String]) {
        self.name = name
        self.groups = groups
    }
}

/// A request, whole.
package struct HTTPRequest: Sendable {
    package var method: String
    /// The path as it came, still percent-encoded.
    package var path: String
    /// The query's items, decoded, in order.
    package var query: [(name: String, value: String)]
    package var headers: HTTPFields
    package var body: [UInt8]
    /// How it came.
    package var origin = RequestOrigin()

    /// A request to `target`, a path with an optional query.
    package init(_ method: String, _ target: String, headers: HTTPFields = HTTPFields(), body: [UInt8] = []) {
        self.method = method
        self.headers = headers
        self.body = body
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts.first ?? "/")
        query = parts.count > 1 ? PercentCoding.items(parts[1]) : []
    }

    /// The last value of a query item.
    package func queryValue(_ name: String) -> String? { query.last { $0.name == name }?.value }

    private static let dot = [UInt8(ascii: ".")]

    /// The path's segments, decoded; nil when an escape is malformed or hides a slash or NUL.
    package var segments: [String]? {
        var segments: [String] = []
        for part in path.utf8.split(separator: UInt8(ascii: "/")) {
            guard let bytes = PercentCoding.bytes(part, plusIsSpace: false), !bytes.contains(UInt8(ascii: "/")),
                !bytes.contains(0), bytes != Self.dot, bytes != Self.dot + Self.dot,
                let text = String(validating: bytes, as: UTF8.self)
            else { return nil }
            segments.append(text)
        }
        return segments
    }
}

/// An answer.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Called with a writer once the head is sent; the body ends when the call returns.
        case stream(@Sendable (BodyWriter) async throws -> Void)
        /// Called once the head (of status 101) is sent: from then on the connection speaks another protocol. It is
        /// closed when the call returns.
        case upgrade(@Sendable (UpgradedConnection) async -> Void)
    }

    package var status: Int
    package var headers: HTTPFields
    package var body: Body

    package init(status: Int, headers: HTTPFields = HTTPFields(), body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(
            status: status,
            headers: ["Content-Type": "text/plain; charset=utf-8"],
            body: .bytes(Array(text.utf8))
        )
    }

    package static func json(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["Content-Type": "application/json"], body: .bytes(bytes))
    }
}

/// Percent-encoding (RFC 3986 section 2.1) and the form of query strings.
package enum PercentCoding {
    /// The text behind an encoded one, or nil when an escape or the UTF-8 behind it is malformed.
    package static func decode(_ text: some StringProtocol, plusIsSpace: Bool) -> String? {
        bytes(text.utf8, plusIsSpace: plusIsSpace).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The bytes behind encoded ones, or nil when an escape is malformed.
    static func bytes(_ encoded: some Sequence<UInt8>, plusIsSpace: Bool) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = encoded.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = digit(rest.next()), let low = digit(rest.next()) else { return nil }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        return bytes
    }

    /// Items that are read of one query.
    static let mostItems = 1024

    /// `a=1&b=x%20y`; an item that is malformed is left out.
    package static func items(_ query: some StringProtocol) -> [(name: String, value: String)] {
        query.split(separator: "&").prefix(mostItems).compactMap { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = parts.first, let name = decode(first, plusIsSpace: true) else { return nil }
            guard parts.count > 1 else { return (name, "") }
            return decode(parts[1], plusIsSpace: true).map { (name, $0) }
        }
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        switch byte {
        case let byte? where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte): byte - UInt8(ascii: "0")
        case let byte? where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20):
            (byte | 0x20) - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

/// Why an exchange failed.
package struct HTTPFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Cause: Sendable, Equatable {
        case unreachable
        case closed
        case timedOut
        case malformed
        case tooLarge
    }

    package let cause: Cause
    package let message: String

    package var description: String { message }

    init(_ cause: Cause, _ message: String) {
        self.cause = cause
        self.message = message
    }
}
