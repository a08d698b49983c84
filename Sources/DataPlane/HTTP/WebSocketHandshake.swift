import CWeft

/// What a request must have to become a WebSocket (RFC 6455 section 4.2.1).
enum WebSocketHandshake {
    /// Nil when nothing is wrong.
    static func fault(
        of head: borrowing RequestHead,
        _ bytes: UnsafeRawPointer,
        _ fields: borrowing FieldTable
    ) -> HTTPFault? {
        var keys = 0
        var versions = 0
        for index in 0..<fields.count {
            let value = bytes + Int(fields.fields[index].valueStart)
            let length = Int(fields.fields[index].valueLength)
            switch fields.names[index] {
            case .secWebSocketKey:
                guard isKey(value, length) else { return .badUpgrade }
                keys += 1
            case .secWebSocketVersion:
                guard length == 2, cweft_equals_lower(value, "13", 2) != 0 else { return .unsupportedWebSocketVersion }
                versions += 1
            default: continue
            }
        }
        guard head.method == .get, head.framing == .none, keys == 1 else { return .badUpgrade }
        return versions == 1 ? nil : .unsupportedWebSocketVersion
    }

    /// 16 bytes in base64: 21 free digits, one of four, and two signs of filling.
    private static func isKey(_ value: UnsafeRawPointer, _ length: Int) -> Bool {
        guard length == 24 else { return false }
        for offset in 0..<22 {
            switch value.load(fromByteOffset: offset, as: UInt8.self) {
            case 0x41...0x5A, 0x61...0x7A, 0x30...0x39, 0x2B, 0x2F: continue
            default: return false
            }
        }
        return cweft_equals_lower(value + 22, "==", 2) != 0
    }
}
