/// The key of a WebSocket's handshake and the answer to it (RFC 6455 section 4): made by the proxy where one side speaks HTTP/2,
/// which has neither.
public enum WebSocketKey {
    /// Bytes of a key and of its answer, as they stand in the fields.
    public static var count: Int { 24 }
    public static var acceptCount: Int { 28 }

    /// Sixteen bytes in base64.
    static func write(_ key: (UInt64, UInt64), _ body: (UnsafePointer<UInt8>) -> Void) {
        let bytes = withUnsafeBytes(of: key) { Array($0) }
        let text = base64(bytes)
        text.withUnsafeBufferPointer { raw in
            if let base = raw.baseAddress { body(base) }
        }
    }

    /// The value of `Sec-WebSocket-Accept` that answers a key of `count` bytes.
    public static func accept(_ key: UnsafeRawPointer, _ count: Int) -> [UInt8] {
        let secret: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        var message = Array(UnsafeRawBufferPointer(start: key, count: count))
        message += UnsafeBufferPointer(start: secret.utf8Start, count: secret.utf8CodeUnitCount)
        return base64(SHA1.digest(message))
    }

    private static func base64(_ bytes: [UInt8]) -> [UInt8] {
        let alphabet: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let piece = bytes[start..<min(start + 3, bytes.count)]
            var group: UInt32 = 0
            for byte in piece { group = group << 8 | UInt32(byte) }
            group <<= UInt32(3 - piece.count) * 8
            for digit in 0..<4 {
                let isFilling = digit > piece.count
                text.append(isFilling ? 0x3D : alphabet.utf8Start[Int(group >> UInt32(18 - 6 * digit) & 63)])
            }
        }
        return text
    }
}
