extension Envoy {
    /// How a path is matched beside the plain ways, by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct PathMatchPolicy: EnvoyMessage {
        package var name: String
        package var typedConfig: PathMatchConfig?

        package init(name: String = "", typedConfig: PathMatchConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<PathMatchPolicy>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: PathMatchPolicy()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }

    /// The ways that exist here.
    package enum PathMatchConfig: AnyExtension {
        case template(UriTemplateMatchConfig)

        package static let members = AnyMembers<PathMatchConfig>(
            "way to match a path",
            [
                AnyMember(UriTemplateMatchConfig.self, wrap: { .template($0) }) {
                    if case .template(let value) = $0 { value } else { nil }
                }
            ]
        )
    }

    /// Paths of a form with names for their parts: `/{region}/**`.
    ///
    /// `envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig`
    package struct UriTemplateMatchConfig: EnvoyMessage {
        package var pathTemplate: String

        package init(pathTemplate: String = "") { self.pathTemplate = pathTemplate }

        package static let schema = MessageSchema<UriTemplateMatchConfig>(
            "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
            empty: UriTemplateMatchConfig()
        ) { schema in
            schema.field(1, "path_template", \.pathTemplate, .string, [.minLength(1)])
        }
    }

    /// How a path is rewritten beside the plain ways, by name and type.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct PathRewritePolicy: EnvoyMessage {
        package var name: String
        package var typedConfig: PathRewriteConfig?

        package init(name: String = "", typedConfig: PathRewriteConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<PathRewritePolicy>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: PathRewritePolicy()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }

    /// The ways that exist here.
    package enum PathRewriteConfig: AnyExtension {
        case template(UriTemplateRewriteConfig)

        package static let members = AnyMembers<PathRewriteConfig>(
            "way to rewrite a path",
            [
                AnyMember(UriTemplateRewriteConfig.self, wrap: { .template($0) }) {
                    if case .template(let value) = $0 { value } else { nil }
                }
            ]
        )
    }

    /// A path made of the parts that the route's template named.
    ///
    /// `envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig`
    package struct UriTemplateRewriteConfig: EnvoyMessage {
        package var pathTemplateRewrite: String

        package init(pathTemplateRewrite: String = "") { self.pathTemplateRewrite = pathTemplateRewrite }

        package static let schema = MessageSchema<UriTemplateRewriteConfig>(
            "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
            empty: UriTemplateRewriteConfig()
        ) { schema in
            schema.field(1, "path_template_rewrite", \.pathTemplateRewrite, .string, [.minLength(1)])
        }
    }
}
