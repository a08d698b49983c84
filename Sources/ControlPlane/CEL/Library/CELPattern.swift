import CRE2

/// A compiled regular expression (RE2's language): linear in the text, whoever wrote either.
///
/// Safety: this object alone owns the compiled expression, which is constant: any thread may match with it.
final class CELPattern: @unchecked Sendable {
    private let program: OpaquePointer
    /// Bytes of the expression, by which matches cost.
    let size: Int

    init(_ text: String) throws(CELFailure) {
        var copy = text
        size = text.utf8.count
        guard size <= CELLimits.pattern else {
            throw CELFailure("regular expression has \(size) bytes, \(CELLimits.pattern) are allowed")
        }
        var reason = [CChar](repeating: 0, count: 200)
        let made = copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) {
                cre2_compile($0.baseAddress, $0.count, 1 << 20, &reason, reason.count)
            }
        }
        guard let made else {
            let words = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw CELFailure("error parsing regexp: \(words)")
        }
        program = made
        // Counted repetitions may blow a short text up.
        guard cre2_size(program) <= 10_000 else {
            throw CELFailure("regular expression is compiled to \(cre2_size(program)) instructions, 10000 are allowed")
        }
    }

    deinit { cre2_free(program) }

    /// Whether the expression matches anywhere in a text.
    func isFound(in text: String) -> Bool { find(in: text, limit: 1).first != nil }

    /// The first matches in a text, at most so many.
    func find(in text: String, limit: Int) -> [String] {
        var copy = text
        return copy.withUTF8 { bytes in
            var found: [String] = []
            var from = 0
            var begin = 0
            var end = 0
            var last = -1
            while found.count < limit, from <= bytes.count,
                cre2_find(program, bytes.baseAddress, bytes.count, from, &begin, &end)
            {
                // No empty match right behind the last one.
                if end > begin || begin != last { found.append(String(decoding: bytes[begin..<end], as: UTF8.self)) }
                last = end
                from = end > begin ? end : end + Self.width(bytes, end)
            }
            return found
        }
    }

    /// The bytes of the character at a place.
    private static func width(_ bytes: UnsafeBufferPointer<UInt8>, _ place: Int) -> Int {
        guard place < bytes.count else { return 1 }
        switch bytes[place] {
        case 0xF0...: return 4
        case 0xE0...: return 3
        case 0xC0...: return 2
        default: return 1
        }
    }
}
