extension Envoy {
    /// Changes headers of requests and answers.
    ///
    /// `envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`
    package struct HeaderMutationFilter: EnvoyMessage {
        package var mutations: HeaderMutations?
        package var mostSpecificHeaderMutationsWins: Bool

        package init(mutations: HeaderMutations? = nil, mostSpecificHeaderMutationsWins: Bool = false) {
            self.mutations = mutations
            self.mostSpecificHeaderMutationsWins = mostSpecificHeaderMutationsWins
        }

        package static let schema = MessageSchema<HeaderMutationFilter>(
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            empty: HeaderMutationFilter()
        ) { schema in
            schema.optional(1, "mutations", \.mutations, .message)
            schema.field(2, "most_specific_header_mutations_wins", \.mostSpecificHeaderMutationsWins, .bool)
        }
    }

    /// `envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute`
    package struct HeaderMutationPerRoute: EnvoyMessage {
        package var mutations: HeaderMutations?

        package init(mutations: HeaderMutations? = nil) { self.mutations = mutations }

        package static let schema = MessageSchema<HeaderMutationPerRoute>(
            "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
            empty: HeaderMutationPerRoute()
        ) { schema in
            schema.optional(1, "mutations", \.mutations, .message)
        }
    }

    /// `envoy.extensions.filters.http.header_mutation.v3.Mutations`
    package struct HeaderMutations: EnvoyMessage {
        package var requestMutations: [HeaderMutation]
        package var responseMutations: [HeaderMutation]

        package init(requestMutations: [HeaderMutation] = [], responseMutations: [HeaderMutation] = []) {
            self.requestMutations = requestMutations
            self.responseMutations = responseMutations
        }

        package static let schema = MessageSchema<HeaderMutations>(
            "envoy.extensions.filters.http.header_mutation.v3.Mutations",
            empty: HeaderMutations()
        ) { schema in
            schema.repeated(1, "request_mutations", \.requestMutations, .message)
            schema.repeated(2, "response_mutations", \.responseMutations, .message)
            schema.unsupported(
                "query_parameter_mutations=3 response_trailers_mutations=4 request_trailers_mutations=5"
            )
        }
    }

    /// One change of a header.
    ///
    /// `envoy.config.common.mutation_rules.v3.HeaderMutation`
    package struct HeaderMutation: EnvoyMessage {
        package var action: Action?

        /// One of these.
        package enum Action: Sendable, Equatable {
            case remove(String)
            case append(HeaderValueOption)
            case removeOnMatch(RemoveOnMatch)
        }

        package init(action: Action? = nil) { self.action = action }

        package static let schema = MessageSchema<HeaderMutation>(
            "envoy.config.common.mutation_rules.v3.HeaderMutation",
            empty: HeaderMutation()
        ) { schema in
            schema.oneof("action", isRequired: true)
            schema.choice(1, "remove", of: "action", \.action, .string, [.minLength(1), .headerName]) {
                .remove($0)
            } get: {
                if case .remove(let value) = $0 { value } else { nil }
            }
            schema.choice(2, "append", of: "action", \.action, .message) {
                .append($0)
            } get: {
                if case .append(let value) = $0 { value } else { nil }
            }
            schema.choice(3, "remove_on_match", of: "action", \.action, .message) {
                .removeOnMatch($0)
            } get: {
                if case .removeOnMatch(let value) = $0 { value } else { nil }
            }
        }

        /// All headers whose names match go.
        ///
        /// `envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch`
        package struct RemoveOnMatch: EnvoyMessage {
            package var keyMatcher: StringMatcher?

            package init(keyMatcher: StringMatcher? = nil) { self.keyMatcher = keyMatcher }

            package static let schema = MessageSchema<RemoveOnMatch>(
                "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
                empty: RemoveOnMatch()
            ) { schema in
                schema.optional(1, "key_matcher", \.keyMatcher, .message, [.required])
            }
        }
    }
}
