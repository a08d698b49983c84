import CRE2

/// A regular expression (RE2's language, which is Go's) that is looked for in time linear in the text.
///
/// Safety: the compiled expression is constant, any thread may match with it; it is freed with its last owner.
final class LinearPattern: @unchecked Sendable {
    let text: String
    private let program: OpaquePointer

    /// Bytes of an expression's text.
    static let maximumText = 4096
    /// Bytes that an expression may take: counted repetitions need some.
    private static let memory: Int64 = 4 << 20

    struct Failure: Error { let message: String }

    init(_ text: String) throws(Failure) {
        guard text.utf8.count <= Self.maximumText else {
            throw Failure(message: "has \(text.utf8.count) bytes, \(Self.maximumText) are allowed")
        }
        var reason: [CChar] = Array(repeating: 0, count: 256)
        var copy = text
        let made = copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                cre2_compile($0.baseAddress, $0.count, Self.memory, &reason, reason.count)
            }
        }
        guard let made else {
            let words = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw Failure(message: words)
        }
        self.text = text
        program = made
    }

    deinit { cre2_free(program) }

    /// Whether the expression matches somewhere in a text.
    func isFound(in text: String) -> Bool {
        var text = text
        var (begin, end) = (0, 0)
        return text.withUTF8 { cre2_find(program, $0.baseAddress, $0.count, 0, &begin, &end) }
    }
}
