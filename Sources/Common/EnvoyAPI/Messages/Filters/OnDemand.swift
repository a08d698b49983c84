extension Envoy {
    /// Requests for clusters that are not known wait until the control plane has told of them.
    ///
    /// `envoy.extensions.filters.http.on_demand.v3.OnDemand`
    package struct OnDemand: EnvoyMessage {
        package var odcds: OnDemandCds?

        package init(odcds: OnDemandCds? = nil) { self.odcds = odcds }

        package static let schema = MessageSchema<OnDemand>(
            "envoy.extensions.filters.http.on_demand.v3.OnDemand",
            empty: OnDemand()
        ) { schema in
            schema.optional(1, "odcds", \.odcds, .message)
        }
    }
}

extension Envoy {
    /// Where clusters come from.
    ///
    /// `envoy.extensions.filters.http.on_demand.v3.OnDemandCds`
    package struct OnDemandCds: EnvoyMessage {
        package var source: ConfigSource?
        /// How long a request waits; nil: 5 s.
        package var timeout: Duration?

        package init(source: ConfigSource? = nil, timeout: Duration? = nil) {
            self.source = source
            self.timeout = timeout
        }

        package static let schema = MessageSchema<OnDemandCds>(
            "envoy.extensions.filters.http.on_demand.v3.OnDemandCds",
            empty: OnDemandCds()
        ) { schema in
            schema.optional(1, "source", \.source, .message, [.required])
            schema.unsupported("resources_locator=2", why: "clusters are asked for by their plain names")
            schema.optional(3, "timeout", \.timeout, .duration, [.durationAbove(.zero)])
        }
    }
}

extension Envoy {
    /// Of a route, in place of the chain's.
    ///
    /// `envoy.extensions.filters.http.on_demand.v3.PerRouteConfig`
    package struct OnDemandPerRoute: EnvoyMessage {
        package var odcds: OnDemandCds?

        package init(odcds: OnDemandCds? = nil) { self.odcds = odcds }

        package static let schema = MessageSchema<OnDemandPerRoute>(
            "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
            empty: OnDemandPerRoute()
        ) { schema in
            schema.optional(1, "odcds", \.odcds, .message)
        }
    }
}
