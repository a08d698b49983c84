/// A row of NUL-ended `key=value` strings: what the pod init is told, asked and answers.
struct Row: Sendable {
    private(set) var bytes: [UInt8] = []

    /// Appends a pair. A NUL in the value would end it early: everything from there on is left out.
    mutating func add(_ key: String, _ value: String) {
        bytes.append(contentsOf: key.utf8)
        bytes.append(UInt8(ascii: "="))
        bytes.append(contentsOf: value.utf8.prefix { $0 != 0 })
        bytes.append(0)
    }

    /// The row with its length in front, as the control socket wants it.
    var framed: [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(bytes.count + 4)
        withUnsafeBytes(of: UInt32(clamping: bytes.count)) { frame.append(contentsOf: $0) }
        frame.append(contentsOf: bytes)
        return frame
    }
}

/// The rows that arrive on a control socket, cut from its bytes.
struct RowReader {
    private var buffer: [UInt8] = []
    /// A pod init never says more: its answers hold states and at most 10 KiB of output.
    private static let limit = 1 << 20

    typealias Pairs = [(key: String, value: String)]

    mutating func append(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole row, or nil. Throws when the sender does not keep to the form.
    mutating func next() throws(SandboxError) -> Pairs? {
        guard buffer.count >= 4 else { return nil }
        let size = buffer.withUnsafeBytes { Int($0.loadUnaligned(as: UInt32.self)) }
        guard size > 0, size <= Self.limit else { throw SandboxError(.ended, "the pod init sent a malformed answer") }
        guard buffer.count >= 4 + size else { return nil }
        let pairs = buffer[4..<4 + size].split(separator: 0).compactMap { entry -> (key: String, value: String)? in
            guard let equals = entry.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            return (
                String(decoding: entry[..<equals], as: UTF8.self),
                String(decoding: entry[(equals + 1)...], as: UTF8.self)
            )
        }
        buffer.removeFirst(4 + size)
        return pairs
    }
}

extension RowReader.Pairs {
    subscript(key: String) -> String? { first { $0.key == key }?.value }
}
