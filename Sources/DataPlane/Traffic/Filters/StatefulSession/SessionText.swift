import Tokens
import Wire

/// The endpoint of a session as text for a cookie or a header field, in Envoy's form.
package enum SessionText {
    /// For a header field: the address in Base64.
    package static func field(_ address: [UInt8]) -> [UInt8] { Array(Base64.encode(address).utf8) }

    /// The address of a header field; nil when it is none.
    package static func address(field: [UInt8]) -> [UInt8]? {
        guard field.count <= longest, let bytes = Base64.decode(String(decoding: field, as: UTF8.self)),
            isAddress(bytes)
        else { return nil }
        return bytes
    }

    /// For a cookie: a small message with the address and when it ends, in Base64; 0 is with the browser's session.
    package static func cookie(_ address: [UInt8], expires: UInt64) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.run(1, address)
        if expires > 0 { writer.varint(2, expires) }
        return Array(Base64.encode(writer.bytes).utf8)
    }

    /// The address of a cookie; nil when it is none, or too old.
    package static func address(cookie: [UInt8], now: UInt64) -> [UInt8]? {
        guard cookie.count <= longest, let bytes = Base64.decode(String(decoding: cookie, as: UTF8.self)) else {
            return nil
        }
        var address: [UInt8]?
        var expires: UInt64 = 0
        var reader = ProtobufReader(bytes)
        do throws(WireError) {
            while let field = try reader.next() {
                switch (field.number, field.content) {
                case (1, .bytes(let run)): address = Array(run)
                case (2, .varint(let time)): expires = time
                default: break
                }
            }
        } catch {
            return nil
        }
        guard let address, isAddress(address), expires == 0 || now <= expires else { return nil }
        return address
    }

    private static let longest = 512

    /// Letters, digits and what stands between them in addresses.
    private static func isAddress(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty && bytes.count <= 128 && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    /// Whether a cookie of this path is sent with requests for `path` (RFC 6265 section 5.1.4).
    package static func matches(_ path: ByteRun, cookiePath: ByteRun) -> Bool {
        guard cookiePath.count > 1, path.hasPrefix(cookiePath) else { return cookiePath.count <= 1 }
        return path.count == cookiePath.count || cookiePath[cookiePath.count - 1] == 0x2F
            || path[cookiePath.count] == 0x2F
    }
}
