extension Envoy {
    /// A regular expression in RE2's language, for a whole text.
    ///
    /// `envoy.type.matcher.v3.RegexMatcher`
    package struct RegexMatcher: EnvoyMessage {
        package var googleRe2: RegexMatcher.GoogleRE2?
        package var regex: String

        package init(
            googleRe2: RegexMatcher.GoogleRE2? = nil,
            regex: String = ""
        ) {
            self.googleRe2 = googleRe2
            self.regex = regex
        }

        package static let schema = MessageSchema<RegexMatcher>(
            "envoy.type.matcher.v3.RegexMatcher",
            empty: RegexMatcher()
        ) { schema in
            schema.oneof("engine_type")
            schema.optional(1, "google_re2", of: "engine_type", \.googleRe2, .message)
            schema.field(2, "regex", \.regex, .string, [.minLength(1)])
        }
    }
}

extension Envoy.RegexMatcher {
    /// The engine, RE2.
    ///
    /// `envoy.type.matcher.v3.RegexMatcher.GoogleRE2`
    package struct GoogleRE2: EnvoyMessage {
        /// Instructions that the compiled expression may have.
        package var maxProgramSize: UInt32?

        package init(maxProgramSize: UInt32? = nil) { self.maxProgramSize = maxProgramSize }

        package static let schema = MessageSchema<GoogleRE2>(
            "envoy.type.matcher.v3.RegexMatcher.GoogleRE2",
            empty: GoogleRE2()
        ) { schema in
            schema.optional(1, "max_program_size", \.maxProgramSize, .uint32Value)
        }
    }
}

extension Envoy {
    /// Every match of an expression is replaced.
    ///
    /// `envoy.type.matcher.v3.RegexMatchAndSubstitute`
    package struct RegexMatchAndSubstitute: EnvoyMessage {
        package var pattern: RegexMatcher?
        /// `\0` is the match, `\1` ... `\9` its groups.
        package var substitution: String

        package init(
            pattern: RegexMatcher? = nil,
            substitution: String = ""
        ) {
            self.pattern = pattern
            self.substitution = substitution
        }

        package static let schema = MessageSchema<RegexMatchAndSubstitute>(
            "envoy.type.matcher.v3.RegexMatchAndSubstitute",
            empty: RegexMatchAndSubstitute()
        ) { schema in
            schema.optional(1, "pattern", \.pattern, .message, [.required])
            schema.field(2, "substitution", \.substitution, .string, [.headerValue])
        }
    }
}

extension Envoy {
    /// What a cookie of the request has to be.
    ///
    /// `envoy.config.route.v3.CookieMatcher`
    package struct CookieMatcher: EnvoyMessage {
        package var name: String
        package var stringMatch: StringMatcher?
        package var invertMatch: Bool

        package init(
            name: String = "",
            stringMatch: StringMatcher? = nil,
            invertMatch: Bool = false
        ) {
            self.name = name
            self.stringMatch = stringMatch
            self.invertMatch = invertMatch
        }

        package static let schema = MessageSchema<CookieMatcher>(
            "envoy.config.route.v3.CookieMatcher",
            empty: CookieMatcher()
        ) { schema in
            schema.field(1, "name", \.name, .string, [.minLength(1), .maxBytes(1024)])
            schema.optional(2, "string_match", \.stringMatch, .message, [.required])
            schema.field(3, "invert_match", \.invertMatch, .bool)
        }
    }
}

extension Envoy.RouteAction {
    /// The whole life of a request.
    ///
    /// `envoy.config.route.v3.RouteAction.MaxStreamDuration`
    package struct MaxStreamDuration: EnvoyMessage {
        /// 0 is none; nil is the connection manager's.
        package var maxStreamDuration: Duration?

        /// The most of what `grpc-timeout` may say, which then stands in place of `maxStreamDuration`; 0 is no limit.
        package var grpcTimeoutHeaderMax: Duration?
        package var grpcTimeoutHeaderOffset: Duration?

        package init(
            maxStreamDuration: Duration? = nil,
            grpcTimeoutHeaderMax: Duration? = nil,
            grpcTimeoutHeaderOffset: Duration? = nil
        ) {
            self.maxStreamDuration = maxStreamDuration
            self.grpcTimeoutHeaderMax = grpcTimeoutHeaderMax
            self.grpcTimeoutHeaderOffset = grpcTimeoutHeaderOffset
        }

        package static let schema = MessageSchema<MaxStreamDuration>(
            "envoy.config.route.v3.RouteAction.MaxStreamDuration",
            empty: MaxStreamDuration()
        ) { schema in
            schema.optional(1, "max_stream_duration", \.maxStreamDuration, .duration)
            schema.optional(2, "grpc_timeout_header_max", \.grpcTimeoutHeaderMax, .duration)
            schema.optional(3, "grpc_timeout_header_offset", \.grpcTimeoutHeaderOffset, .duration)
        }
    }
}
