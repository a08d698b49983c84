/// Base64 with padding (RFC 4648 section 4), as Secrets carry their values.
package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 255, count: 256)
        for (value, byte) in alphabet.enumerated() { table[Int(byte)] = UInt8(value) }
        return table
    }()

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var pending: UInt32 = 0
        var count = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { output.append(alphabet[Int(pending >> shift & 63)]) }
                pending = 0
                count = 0
            }
        }
        if count == 1 {
            output += [alphabet[Int(pending >> 2 & 63)], alphabet[Int(pending << 4 & 63)], 61, 61]
        } else if count == 2 {
            output += [
                alphabet[Int(pending >> 10 & 63)], alphabet[Int(pending >> 4 & 63)], alphabet[Int(pending << 2 & 63)],
                61,
            ]
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The bytes, or nil for a text that is no padded base64. Line breaks are skipped, as YAML blocks carry them.
    package static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count / 4 * 3)
        var pending: UInt32 = 0
        var count = 0
        var padding = 0
        for byte in text.utf8 where byte != 10 && byte != 13 {
            if byte == 61 {
                padding += 1
                count += 1
                continue
            }
            let value = values[Int(byte)]
            guard value != 255, padding == 0 else { return nil }
            pending = pending << 6 | UInt32(value)
            count += 1
            if count % 4 == 0 {
                output += [
                    UInt8(truncatingIfNeeded: pending >> 16), UInt8(truncatingIfNeeded: pending >> 8),
                    UInt8(truncatingIfNeeded: pending),
                ]
                pending = 0
            }
        }
        guard count % 4 == 0, padding <= 2 else { return nil }
        if padding == 1 {
            output += [UInt8(truncatingIfNeeded: pending >> 10), UInt8(truncatingIfNeeded: pending >> 2)]
        } else if padding == 2 {
            output.append(UInt8(truncatingIfNeeded: pending >> 4))
        }
        return output
    }
}
