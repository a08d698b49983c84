import EnvoyAPI
import Traffic

/// Paths with names for their parts.
extension RouteCompiler {
    /// nil when it was reported.
    func template(_ policy: Envoy.PathMatchPolicy) -> PathTemplate? {
        guard case .template(let config) = policy.typedConfig else { return nil }
        do throws(PatternError) {
            return try PathTemplate(config.pathTemplate)
        } catch {
            context.report("path_match_policy.typed_config.path_template: \(error.message)")
            return nil
        }
    }

    func compile(_ expression: String, _ step: String) -> Pattern? {
        do throws(PatternError) {
            return try builder.arena.compile(expression, programLimit: PatternLimits.program)
        } catch {
            context.report("\(step): \(error.message)")
            return nil
        }
    }

    /// The rewrite of a route whose path is matched by a template.
    func templateRewrite(_ policy: Envoy.PathRewritePolicy, _ route: Envoy.Route) -> PatternRewrite? {
        let step = "path_rewrite_policy.typed_config.path_template_rewrite"
        guard case .template(let config) = policy.typedConfig else { return nil }
        guard case .pathMatchPolicy(let matching) = route.match?.pathSpecifier,
            case .template(let matched) = matching.typedConfig
        else {
            context.report("\(step): the route has to be matched by path_match_policy with a template")
            return nil
        }
        do throws(PatternError) {
            let template = try PathTemplate(matched.pathTemplate)
            let substitution = try template.substitution(config.pathTemplateRewrite)
            guard !substitution.utf8.contains(where: { $0 <= 0x20 || $0 == 0x23 || $0 == 0x3F || $0 >= 0x7F }) else {
                context.report("\(step): no spaces, controls, #, ? and bytes beyond ASCII may go into a path")
                return nil
            }
            guard let pattern = compile("^" + template.expression + "$", step) else { return nil }
            return PatternRewrite(pattern: pattern, substitution: builder.arena.copy(substitution))
        } catch {
            context.report("\(step): \(error.message)")
            return nil
        }
    }
}
