import CRE2

/// A compiled regular expression (RE2's language): it matches in time linear in the text, whoever wrote the text.
///
/// Safety: the `Arena` that compiled it owns it and outlives it. A compiled expression is constant, so that every thread may
/// match with it.
public struct Pattern: BitwiseCopyable, @unchecked Sendable {
    fileprivate let program: OpaquePointer

    /// Whether the expression matches the whole text.
    package func matches(_ text: ByteRun) -> Bool { cre2_matches(program, text.start, text.count) }

    /// What is wrong with a substitution for this expression, or nil.
    package func problem(withSubstitution substitution: String) -> String? {
        var text = substitution
        return Pattern.reason { error, room in
            text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    cre2_may_substitute(program, $0.baseAddress, $0.count, error, room)
                }
            }
        }
    }

    fileprivate static func reason(_ work: (UnsafeMutablePointer<CChar>?, Int) -> Bool) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { error in
            guard !work(error.baseAddress, error.count) else { return nil }
            return String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}

/// Replaces every match of an expression in a path.
public struct PatternRewrite: BitwiseCopyable, Sendable {
    public var pattern: Pattern
    /// `\0` is the match, `\1` ... `\9` its groups.
    public var substitution: ByteRun

    public init(pattern: Pattern, substitution: ByteRun) {
        self.pattern = pattern
        self.substitution = substitution
    }
}

/// Why an expression was not compiled, in words.
package struct PatternError: Error, Equatable {
    package var message: String
}

/// The bounds of an expression.
package enum PatternLimits {
    /// Bytes of an expression's text.
    package static let text = 4096
    /// Instructions of the compiled form, unless the configuration asks for less: RE2 runs at most so many per byte.
    package static let program = 5000
    /// Bytes that an expression may take, with what it remembers of texts that it saw.
    static let memory: Int64 = 1 << 20
}

/// The expressions that an arena compiled: the same text is compiled once.
struct PatternBook {
    private var known: [String: OpaquePointer] = [:]

    mutating func compile(_ text: String, programLimit: Int) throws(PatternError) -> Pattern {
        let count = text.utf8.count
        guard count <= PatternLimits.text else {
            throw PatternError(message: "has \(count) bytes, \(PatternLimits.text) are allowed")
        }
        let program: OpaquePointer
        if let present = known[text] {
            program = present
        } else {
            program = try Self.compile(text)
            known[text] = program
        }
        let size = Int(cre2_size(program))
        guard size <= min(programLimit, PatternLimits.program) else {
            let limit = min(programLimit, PatternLimits.program)
            throw PatternError(message: "is compiled to \(size) instructions, \(limit) are allowed")
        }
        return Pattern(program: program)
    }

    private static func compile(_ text: String) throws(PatternError) -> OpaquePointer {
        var copy = text
        var made: OpaquePointer?
        let reason = Pattern.reason { error, room in
            made = copy.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) {
                    cre2_compile($0.baseAddress, $0.count, PatternLimits.memory, error, room)
                }
            }
            return made != nil
        }
        guard let made else { throw PatternError(message: "is no regular expression: \(reason ?? "unknown reason")") }
        return made
    }

    func free() {
        for program in known.values { cre2_free(program) }
    }
}

extension ByteSink {
    /// Appends a path with every match replaced. The result is a path and leads nowhere but where it says: it begins with
    /// `/`, and segments `.` and `..` that come about are left out.
    mutating func appendRewritten(_ path: ByteRun, by rewrite: PatternRewrite) {
        let begin = count
        appendPlainly(path, by: rewrite)
        tidyPath(from: begin)
    }

    mutating func appendPlainly(_ path: ByteRun, by rewrite: PatternRewrite) {
        fill { place, room in
            cre2_replace(
                rewrite.pattern.program,
                path.start,
                path.count,
                rewrite.substitution.start,
                rewrite.substitution.count,
                place,
                room
            )
        }
    }
}
