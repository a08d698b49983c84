import CWeft

/// Host and port as they stand in Host or in a target.
public enum Authority {
    /// `host`, `host:port`, `[v6]` or `[v6]:port`: no user, no list, no path, not empty (RFC 9110 section 7.2).
    public static func isValid(_ start: UnsafeRawPointer, count: Int) -> Bool {
        guard count > 0 else { return false }
        var position: Int
        if start.load(as: UInt8.self) == 0x5B {
            let close = cweft_find(start, count, 0x5D)
            guard close > 1 else { return false }
            for offset in 1..<close {
                let byte = start.load(fromByteOffset: offset, as: UInt8.self)
                let isHex = (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
                guard isHex || byte == 0x3A || byte == 0x2E else { return false }
            }
            position = close + 1
        } else {
            position = cweft_scan_host(start, count)
            guard position > 0 else { return false }
        }
        guard position < count else { return true }
        guard start.load(fromByteOffset: position, as: UInt8.self) == 0x3A, count - position <= 6 else { return false }
        position += 1
        var port = 0
        while position < count {
            let digit = start.load(fromByteOffset: position, as: UInt8.self) &- 0x30
            guard digit <= 9 else { return false }
            port = port &* 10 &+ Int(digit)
            position += 1
        }
        return port <= 65_535
    }

    /// Whether a valid authority names a port.
    public static func hasPort(_ start: UnsafeRawPointer, count: Int) -> Bool {
        let colon = cweft_find_last(start, count, 0x3A)
        guard colon >= 0, colon < count - 1 else { return false }
        return start.load(fromByteOffset: count - 1, as: UInt8.self) != 0x5D
    }
}
