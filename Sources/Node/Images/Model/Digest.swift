import COpenSSL

/// The SHA-256 of some bytes, written `sha256:` and 64 digits: the only algorithm that is taken.
package struct Digest: Sendable, Hashable, CustomStringConvertible {
    /// 64 lower-case hexadecimal digits.
    package let hex: String

    /// Nil when the text is no `sha256:` digest.
    package init?(_ text: some StringProtocol) {
        guard text.hasPrefix("sha256:") else { return nil }
        self.init(hex: text.dropFirst(7))
    }

    /// Nil when the text is not 64 lower-case hexadecimal digits: it becomes the name of a file.
    package init?(hex: some StringProtocol) {
        let isDigits = hex.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard hex.utf8.count == 64, isDigits else { return nil }
        self.hex = String(hex)
    }

    /// Of bytes.
    package init(of bytes: [UInt8]) {
        let hasher = Hasher256()
        bytes.withUnsafeBytes { hasher.add($0) }
        self = hasher.finish()
    }

    fileprivate init(sum: [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        hex = String(decoding: sum.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    package var description: String { "sha256:\(hex)" }
    /// The twelve digits by which people know an image.
    package var short: String { String(hex.prefix(12)) }
}

/// Sums bytes that come in pieces.
///
/// Safety: owns its state; used by one thread at a time.
package final class Hasher256 {
    private let state: OpaquePointer?

    package init() { state = wdig_new() }
    deinit { if let state { wdig_free(state) } }

    package func add(_ bytes: UnsafeRawBufferPointer) {
        if let state { wdig_add(state, bytes.baseAddress, bytes.count) }
    }

    /// The sum; the next piece begins a new one. Without memory it is a sum that no bytes have.
    package func finish() -> Digest {
        var sum = [UInt8](repeating: 0, count: 32)
        if let state { wdig_finish(state, &sum) }
        return Digest(sum: sum)
    }
}
