/// The first message of a TLS client, read without answering it: for the choice of a filter chain.
package struct ClientHello: Sendable, Equatable {
    /// Lower case; nil: none was given.
    package var serverName: String?
    package var protocols: [[UInt8]] = []

    package init(serverName: String? = nil) { self.serverName = serverName }

    package enum Reading: Sendable, Equatable {
        /// More bytes are needed.
        case incomplete
        /// Not the beginning of TLS.
        case notTLS
        /// TLS, but malformed or larger than any honest hello.
        case malformed
        case hello(ClientHello)
    }

    /// A connection that needs more bytes than this for its hello is refused.
    package static let limit = 65_536

    /// Reads the bytes that came so far, in records of any size.
    package static func read(_ bytes: UnsafeRawBufferPointer) -> Reading {
        var message: [UInt8] = []
        var position = 0
        while true {
            let left = bytes.count - position
            guard left > 0 else { return bytes.count >= limit ? .malformed : .incomplete }
            // A handshake record of SSL 3.x; SSL 2 hellos are not TLS here.
            guard bytes[position] == 22, left < 2 || bytes[position + 1] == 3 else {
                return position == 0 ? .notTLS : .malformed
            }
            guard left >= 5 else { return .incomplete }
            let length = Int(bytes[position + 3]) << 8 | Int(bytes[position + 4])
            guard length > 0, length <= 16_384 else { return position == 0 ? .notTLS : .malformed }
            let have = min(length, left - 5)
            message.append(contentsOf: bytes[(position + 5)..<(position + 5 + have)])
            if let first = message.first, first != 1 { return .malformed }
            if message.count >= 4 {
                let size = Int(message[1]) << 16 | Int(message[2]) << 8 | Int(message[3])
                guard size + 4 <= limit else { return .malformed }
                if message.count >= size + 4 { return parse(message[4..<(size + 4)]) }
            }
            guard have == length else { return bytes.count >= limit ? .malformed : .incomplete }
            position += 5 + length
        }
    }

    private static func parse(_ body: ArraySlice<UInt8>) -> Reading {
        var reader = Reader(body)
        // Version, random, session id, cipher suites, compression methods.
        guard reader.skip(34), reader.vector(1) != nil, reader.vector(2) != nil, reader.vector(1) != nil else {
            return .malformed
        }
        var hello = ClientHello()
        if reader.isEmpty { return .hello(hello) }
        guard var extensions = reader.vector(2), reader.isEmpty else { return .malformed }
        var seen: Set<Int> = []
        while !extensions.isEmpty {
            guard let kind = extensions.number(2), let content = extensions.vector(2), seen.insert(kind).inserted else {
                return .malformed
            }
            switch kind {
            case 0:
                guard let name = serverName(content) else { return .malformed }
                hello.serverName = name
            case 16:
                guard let protocols = protocols(content) else { return .malformed }
                hello.protocols = protocols
            default: break
            }
        }
        return .hello(hello)
    }

    private static func serverName(_ content: Reader) -> String? {
        var content = content
        guard var list = content.vector(2), content.isEmpty else { return nil }
        var found: String?
        while !list.isEmpty {
            guard let kind = list.number(1), let name = list.vector(2) else { return nil }
            guard kind == 0 else { continue }
            // RFC 6066 section 3: one name of each kind.
            guard found == nil, let plain = ServerName.normalized(Array(name.bytes)) else { return nil }
            found = plain
        }
        return found
    }

    private static func protocols(_ content: Reader) -> [[UInt8]]? {
        var content = content
        guard var list = content.vector(2), content.isEmpty, !list.isEmpty else { return nil }
        var found: [[UInt8]] = []
        while !list.isEmpty {
            guard let name = list.vector(1), !name.isEmpty else { return nil }
            found.append(Array(name.bytes))
        }
        return found
    }

    /// Takes numbers and length-prefixed vectors off the front.
    private struct Reader {
        private(set) var bytes: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

        var isEmpty: Bool { bytes.isEmpty }

        mutating func skip(_ count: Int) -> Bool {
            guard bytes.count >= count else { return false }
            bytes = bytes.dropFirst(count)
            return true
        }

        mutating func number(_ size: Int) -> Int? {
            guard bytes.count >= size else { return nil }
            let value = bytes.prefix(size).reduce(0) { $0 << 8 | Int($1) }
            bytes = bytes.dropFirst(size)
            return value
        }

        mutating func vector(_ size: Int) -> Reader? {
            guard let count = number(size), bytes.count >= count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return Reader(bytes.prefix(count))
        }
    }
}
