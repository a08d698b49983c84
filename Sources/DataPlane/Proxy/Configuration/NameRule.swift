import EnvoyAPI
import Reactor

/// How the host names of a cluster are looked up.
struct NameRule: Hashable, Sendable {
    var channel = NameChannel.Settings()
    var family = Envoy.Cluster.DnsLookupFamily.auto
    /// Between look-ups, nanoseconds.
    var refresh: UInt64 = 5_000_000_000
    /// After failures: at random up to a limit that begins with `base` and doubles; nil: as `refresh`.
    var failure: Backoff?
    var usesTimeToLive = false
    var jitter: UInt64 = 0
    /// LOGICAL_DNS: one address, and an answer without any changes nothing.
    var isLogical = false
    /// Whether readiness waits for the first answer.
    var isAwaited = true

    struct Backoff: Hashable, Sendable {
        var base: UInt64
        var maximum: UInt64

        /// The wait after so many failures in a row (1, 2, ...), from 32 random bits.
        func wait(failures: Int, random: UInt32) -> UInt64 {
            let doublings = UInt64(max(0, min(failures - 1, 32)))
            let (product, overflow) = base.multipliedReportingOverflow(by: 1 << doublings)
            let limit = max(1, min(overflow ? maximum : product, maximum))
            return UInt64(random).multipliedFullWidth(by: limit).high << 32
                | UInt64(random).multipliedFullWidth(by: limit).low >> 32
        }
    }

    /// When the next look-up comes, in nanoseconds from now.
    func wait(after outcome: NameOutcome, failures: Int, random: UInt64) -> UInt64 {
        let draw = UInt32(truncatingIfNeeded: random)
        switch outcome {
        case .failed: return failure?.wait(failures: failures, random: draw) ?? refresh
        case .nothing: return refresh
        case .addresses(_, let seconds):
            var wait = refresh
            if usesTimeToLive, seconds > 0 { wait = UInt64(seconds) * 1_000_000_000 }
            return wait + (jitter > 0 ? random % jitter : 0)
        }
    }

    /// The addresses that are in force after an answer; nil: those from before stay.
    func addresses(after outcome: NameOutcome) -> [Address]? {
        switch outcome {
        case .failed: nil
        case .nothing: isLogical ? nil : []
        case .addresses(let addresses, _): isLogical ? Array(addresses.prefix(1)) : addresses
        }
    }
}

/// What a look-up gave.
enum NameOutcome: Sendable {
    case addresses([Address], secondsToLive: UInt32)
    case nothing
    case failed(String)
}

/// A name that a cluster needs the addresses of.
struct NameRequest: Hashable, Sendable {
    var cluster: String
    var name: String
    var rule: NameRule

    /// What answers are kept by: a change of the rule keeps the addresses.
    var key: NameKey { NameKey(cluster: cluster, name: name) }
}

struct NameKey: Hashable, Sendable {
    var cluster: String
    var name: String
}

extension ClusterCompiler {
    /// How the names of a cluster are looked up. The newest of Envoy's four places for name servers counts.
    func names(_ cluster: Envoy.Cluster) -> NameRule {
        var rule = NameRule()
        rule.family = cluster.dnsLookupFamily
        rule.isLogical = cluster.type == .logicalDns
        rule.isAwaited = cluster.waitForWarmOnInit ?? true
        rule.usesTimeToLive = cluster.respectDnsTtl
        if let refresh = nanoseconds(cluster.dnsRefreshRate) { rule.refresh = refresh }
        if let jitter = nanoseconds(cluster.dnsJitter) { rule.jitter = jitter }
        if let failure = cluster.dnsFailureRefreshRate, let base = nanoseconds(failure.baseInterval) {
            let maximum = nanoseconds(failure.maxInterval) ?? (base.multipliedReportingOverflow(by: 10).partialValue)
            if maximum < base {
                context.report("dns_failure_refresh_rate: max_interval must not be less than base_interval")
            }
            rule.failure = NameRule.Backoff(base: base, maximum: maximum)
        }
        if let typed = cluster.typedDnsResolverConfig {
            context.at("typed_dns_resolver_config.typed_config") {
                if case .cares(let message) = typed.typedConfig { rule.channel = channel(message) }
            }
        } else if let message = cluster.dnsResolutionConfig {
            context.at("dns_resolution_config") {
                rule.channel.servers = servers("resolvers", message.resolvers)
                options(message.dnsResolverOptions, &rule.channel)
            }
        } else {
            rule.channel.servers = servers("dns_resolvers", cluster.dnsResolvers)
            rule.channel.usesTCP = cluster.useTcpForDnsLookups
        }
        return rule
    }

    private func channel(_ message: Envoy.CaresDnsResolverConfig) -> NameChannel.Settings {
        var settings = NameChannel.Settings()
        settings.servers = servers("resolvers", message.resolvers)
        settings.serversAreFallback = message.useResolversAsFallback
        settings.rotates = message.rotateNameservers
        if let seconds = message.queryTimeoutSeconds { settings.timeoutMilliseconds = Int32(clamping: seconds * 1000) }
        if let tries = message.queryTries { settings.tries = Int32(clamping: tries) }
        options(message.dnsResolverOptions, &settings)
        return settings
    }

    private func options(_ message: Envoy.DnsResolverOptions?, _ settings: inout NameChannel.Settings) {
        settings.usesTCP = message?.useTcpForDnsLookups ?? false
        settings.searchesDomains = !(message?.noDefaultSearchDomain ?? false)
    }

    private func servers(_ step: String, _ messages: [Envoy.Address]) -> [SocketAddress] {
        context.each(step, messages) { message in
            guard let address = context.address(message) else { return nil }
            guard let socket = address.socketAddress, address.namespacePath == nil else {
                context.report("a name server is an IPv4 or IPv6 address with a port, in the proxy's own network")
                return nil
            }
            return socket
        }.compactMap { $0 }
    }
}
