import EnvoyAPI
import Traffic

/// Regular expressions.
extension RouteCompiler {
    /// The compiled expression, or nil when it was reported.
    func pattern(_ message: Envoy.RegexMatcher) -> Pattern? {
        do throws(PatternError) {
            let limit = message.googleRe2?.maxProgramSize.map { Int($0) } ?? PatternLimits.program
            return try builder.arena.compile(message.regex, programLimit: limit)
        } catch {
            context.report("regex: \(error.message)")
            return nil
        }
    }

    func text(_ regex: Envoy.RegexMatcher) -> TextMatch {
        var match = TextMatch()
        match.kind = .pattern
        match.pattern = pattern(regex)
        return match
    }

    func patternRewrite(_ message: Envoy.RegexMatchAndSubstitute) -> PatternRewrite? {
        guard let matcher = message.pattern, let pattern = context.at("pattern", { pattern(matcher) }) else {
            return nil
        }
        if let problem = pattern.problem(withSubstitution: message.substitution) {
            context.report("substitution: \(problem)")
        }
        // What comes of it goes into a request line, where these would end the path.
        let forbidden = message.substitution.utf8.contains { $0 <= 0x20 || $0 == 0x23 || $0 == 0x3F || $0 >= 0x7F }
        if forbidden {
            context.report("substitution: no spaces, controls, #, ? and bytes beyond ASCII may go into a path")
        }
        return PatternRewrite(pattern: pattern, substitution: builder.arena.copy(message.substitution))
    }
}
