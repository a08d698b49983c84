extension Envoy {
    /// Brings the requests of a session to one endpoint.
    ///
    /// `envoy.extensions.filters.http.stateful_session.v3.StatefulSession`
    package struct StatefulSession: EnvoyMessage {
        package var sessionState: SessionState?
        /// The endpoint of the session or none.
        package var strict: Bool
        package var statPrefix: String

        package init(sessionState: SessionState? = nil, strict: Bool = false, statPrefix: String = "") {
            self.sessionState = sessionState
            self.strict = strict
            self.statPrefix = statPrefix
        }

        package static let schema = MessageSchema<StatefulSession>(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
            empty: StatefulSession()
        ) { schema in
            schema.optional(1, "session_state", \.sessionState, .message)
            schema.field(2, "strict", \.strict, .bool)
            schema.field(3, "stat_prefix", \.statPrefix, .string)
            schema.unsupported("status_on_strict_destination_not_found=4", why: "the answer is 503")
        }
    }
}

extension Envoy {
    /// What a route says of sessions.
    ///
    /// `envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute`
    package struct StatefulSessionPerRoute: EnvoyMessage {
        package var disabled: Bool
        package var statefulSession: StatefulSession?

        package init(disabled: Bool = false, statefulSession: StatefulSession? = nil) {
            self.disabled = disabled
            self.statefulSession = statefulSession
        }

        package static let schema = MessageSchema<StatefulSessionPerRoute>(
            "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
            empty: StatefulSessionPerRoute()
        ) { schema in
            schema.field(1, "disabled", \.disabled, .bool)
            schema.optional(2, "stateful_session", \.statefulSession, .message)
        }

        package static func verify(_ message: StatefulSessionPerRoute, _ reader: inout SchemaReader) {
            if message.disabled == (message.statefulSession != nil) {
                reader.report(.missing, "one of disabled, stateful_session is required")
            }
        }
    }
}

extension Envoy {
    /// How a session is known.
    ///
    /// `envoy.config.core.v3.TypedExtensionConfig`
    package struct SessionState: EnvoyMessage {
        package var name: String
        package var typedConfig: SessionStateConfig?

        package init(name: String = "", typedConfig: SessionStateConfig? = nil) {
            self.name = name
            self.typedConfig = typedConfig
        }

        package static let schema = MessageSchema<SessionState>(
            "envoy.config.core.v3.TypedExtensionConfig",
            empty: SessionState()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "typed_config", \.typedConfig, .any, [.required])
        }
    }
}

extension Envoy {
    /// The ways to know a session here.
    package enum SessionStateConfig: AnyExtension {
        case cookie(CookieSessionState)
        case header(HeaderSessionState)

        package static let members = AnyMembers<SessionStateConfig>(
            "session state",
            [
                AnyMember(CookieSessionState.self, wrap: { .cookie($0) }) {
                    if case .cookie(let value) = $0 { value } else { nil }
                },
                AnyMember(HeaderSessionState.self, wrap: { .header($0) }) {
                    if case .header(let value) = $0 { value } else { nil }
                },
            ]
        )
    }
}

extension Envoy {
    /// A cookie names the endpoint.
    ///
    /// `envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState`
    package struct CookieSessionState: EnvoyMessage {
        package var cookie: SessionCookie?

        package init(cookie: SessionCookie? = nil) {
            self.cookie = cookie
        }

        package static let schema = MessageSchema<CookieSessionState>(
            "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
            empty: CookieSessionState()
        ) { schema in
            schema.optional(1, "cookie", \.cookie, .message, [.required])
        }
    }
}

extension Envoy {
    /// The cookie of a session.
    ///
    /// `envoy.type.http.v3.Cookie`
    package struct SessionCookie: EnvoyMessage {
        package var name: String
        /// nil or 0: as long as the browser runs.
        package var ttl: Duration?
        /// Empty: every path.
        package var path: String

        package init(name: String = "", ttl: Duration? = nil, path: String = "") {
            self.name = name
            self.ttl = ttl
            self.path = path
        }

        package static let schema = MessageSchema<SessionCookie>(
            "envoy.type.http.v3.Cookie",
            empty: SessionCookie()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1)])
            schema.optional(2, "ttl", \.ttl, .duration, [.durationAtLeast(.zero)])
            schema.field(3, "path", \.path, .string)
            schema.unsupported("attributes=4")
        }
    }
}

extension Envoy {
    /// A header field names the endpoint.
    ///
    /// `envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState`
    package struct HeaderSessionState: EnvoyMessage {
        package var name: String

        package init(name: String = "") {
            self.name = name
        }

        package static let schema = MessageSchema<HeaderSessionState>(
            "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState",
            empty: HeaderSessionState()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .headerName])
        }
    }
}
