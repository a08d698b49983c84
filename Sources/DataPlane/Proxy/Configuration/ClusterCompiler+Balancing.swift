import EnvoyAPI
import Traffic

/// Which balancer a cluster has, and by what rules.
extension ClusterCompiler {
    func balancing(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        let common = cluster.commonLbConfig
        settings.closesOnChange = common?.closeConnectionsOnHostSetChange ?? false
        switch common?.localityConfigSpecifier {
        case .localityWeighted: settings.weighsLocalities = true
        case .zoneAware(let zone): settings.balancing.failsInPanic = zone.failTrafficOnPanic
        case nil: break
        }
        if cluster.type == .originalDst {
            settings.policy = .originalDestination
            return
        }
        guard let policies = cluster.loadBalancingPolicy else {
            named(cluster, &settings)
            return
        }
        // The first policy that exists here is taken, as Envoy does it.
        for (index, policy) in policies.policies.enumerated() {
            guard let typed = policy.typedExtensionConfig?.typedConfig else { continue }
            context.at("load_balancing_policy.policies[\(index)].typed_extension_config.typed_config") {
                self.typed(typed, &settings)
            }
            return
        }
        context.report("load_balancing_policy: none of the policies is supported")
    }

    /// By `lb_policy`.
    private func named(_ cluster: Envoy.Cluster, _ settings: inout ClusterConfiguration.Settings) {
        let hashing = cluster.commonLbConfig?.consistentHashingLbConfig
        let factor = hashing?.hashBalanceFactor ?? 0
        settings.hashesHostnames = hashing?.useHostnameForHashing ?? false
        if settings.hashesHostnames, cluster.type != .strictDns {
            context.at("common_lb_config.consistent_hashing_lb_config") {
                context.report("use_hostname_for_hashing: only for clusters of type STRICT_DNS")
            }
        }
        switch cluster.lbPolicy {
        case .roundRobin:
            settings.policy = .roundRobin
            guard case .roundRobinLbConfig(let config) = cluster.lbConfig else { return }
            settings.balancing.slowStart = context.at("round_robin_lb_config") { slowStart(config.slowStartConfig) }
        case .random: settings.policy = .random
        case .leastRequest:
            settings.policy = .leastRequest(choices: 2)
            guard case .leastRequestLbConfig(let config) = cluster.lbConfig else { return }
            context.at("least_request_lb_config") {
                settings.policy = leastRequest(config.choiceCount, config.activeRequestBias)
                settings.balancing.slowStart = slowStart(config.slowStartConfig)
            }
        case .ringHash:
            var config = Envoy.Cluster.RingHashLbConfig()
            if case .ringHashLbConfig(let own) = cluster.lbConfig { config = own }
            let function: HashFunction = config.hashFunction == .murmurHash2 ? .murmurHash2 : .xxHash64
            settings.policy = context.at("ring_hash_lb_config") {
                ring(config.minimumRingSize, config.maximumRingSize, function, factor)
            }
        case .maglev:
            var size: UInt64?
            if case .maglevLbConfig(let config) = cluster.lbConfig { size = config.tableSize }
            settings.policy = context.at("maglev_lb_config") { maglev(size, factor) }
        case .clusterProvided:
            context.report("lb_policy: CLUSTER_PROVIDED is for clusters of type ORIGINAL_DST")
        case .loadBalancingPolicyConfig:
            context.report("lb_policy: LOAD_BALANCING_POLICY_CONFIG needs load_balancing_policy")
        }
    }

    /// By an extension; it says itself what `common_lb_config` says beside `lb_policy`.
    private func typed(_ policy: Envoy.LoadBalancingPolicyConfig, _ settings: inout ClusterConfiguration.Settings) {
        func locality(_ message: Envoy.LocalityLbConfig?) {
            switch message?.localityConfigSpecifier {
            case .localityWeighted: settings.weighsLocalities = true
            case .zoneAware(let zone): settings.balancing.failsInPanic = zone.failTrafficOnPanic
            case nil: break
            }
        }
        switch policy {
        case .roundRobin(let config):
            settings.policy = .roundRobin
            settings.balancing.slowStart = slowStart(config.slowStartConfig)
            locality(config.localityLbConfig)
        case .random(let config):
            settings.policy = .random
            locality(config.localityLbConfig)
        case .leastRequest(let config):
            settings.policy = leastRequest(config.choiceCount, config.activeRequestBias)
            settings.balancing.slowStart = slowStart(config.slowStartConfig)
            locality(config.localityLbConfig)
        case .peakEwma(let message): settings.policy = .peakEWMA(peakEWMA(message))
        case .ringHash(let config):
            let function: HashFunction = config.hashFunction == .murmurHash2 ? .murmurHash2 : .xxHash64
            let factor = config.consistentHashingLbConfig?.hashBalanceFactor ?? 0
            settings.policy = ring(config.minimumRingSize, config.maximumRingSize, function, factor)
            settings.hashesHostnames = config.consistentHashingLbConfig?.useHostnameForHashing ?? false
            if config.localityWeightedLbConfig != nil { settings.weighsLocalities = true }
        case .maglev(let config):
            settings.policy = maglev(config.tableSize, config.consistentHashingLbConfig?.hashBalanceFactor ?? 0)
            settings.hashesHostnames = config.consistentHashingLbConfig?.useHostnameForHashing ?? false
            if config.localityWeightedLbConfig != nil { settings.weighsLocalities = true }
        }
    }

    /// The runtime key counts before the default.
    private func number(_ value: Envoy.RuntimeDouble?) -> Double? {
        value.flatMap { $0.runtimeKey.isEmpty ? nil : context.runtime.double($0.runtimeKey) } ?? value?.defaultValue
    }

    private func leastRequest(_ choices: UInt32?, _ bias: Envoy.RuntimeDouble?) -> BalancerPolicy {
        let bias = number(bias) ?? 1
        if !(bias >= 0) { context.report("active_request_bias.default_value: must be 0 or more, is \(bias)") }
        return .leastRequest(choices: Int(choices ?? 2), bias: bias)
    }

    private func ring(_ minimum: UInt64?, _ maximum: UInt64?, _ function: HashFunction, _ factor: UInt32)
        -> BalancerPolicy
    {
        let least = minimum ?? 1024
        let most = maximum ?? HashSettings.ringLimit
        if least > most { context.report("minimum_ring_size: \(least) is more than maximum_ring_size, \(most)") }
        if least == 0 { context.report("minimum_ring_size: must be 1 or more") }
        return .hash(
            HashSettings(kind: .ring(minimum: max(1, least), maximum: most, function: function), balanceFactor: factor)
        )
    }

    private func maglev(_ size: UInt64?, _ factor: UInt32) -> BalancerPolicy {
        let size = size ?? 65_537
        if !HashSettings.isPrime(size) { context.report("table_size: \(size) is no prime number, which it has to be") }
        return .hash(HashSettings(kind: .maglev(size: max(2, size)), balanceFactor: factor))
    }

    private func slowStart(_ window: Duration?, _ aggression: Envoy.RuntimeDouble?, _ minimum: Envoy.Percent?)
        -> BalancerSettings.SlowStart?
    {
        context.at("slow_start_config") {
            guard let window = nanoseconds(window), window > 0 else { return nil }
            var made = BalancerSettings.SlowStart(window: window)
            made.aggression = number(aggression) ?? 1
            if !(made.aggression > 0) {
                context.report("aggression.default_value: must be more than 0, is \(made.aggression)")
            }
            if let percent = minimum?.value { made.minimum = percent / 100 }
            return made
        }
    }

    private func slowStart(_ config: Envoy.Cluster.SlowStartConfig?) -> BalancerSettings.SlowStart? {
        config.flatMap { slowStart($0.slowStartWindow, $0.aggression, $0.minWeightPercent) }
    }

    private func slowStart(_ config: Envoy.SlowStartConfig?) -> BalancerSettings.SlowStart? {
        config.flatMap { slowStart($0.slowStartWindow, $0.aggression, $0.minWeightPercent) }
    }

    private func peakEWMA(_ message: Envoy.PeakEwma) -> PeakEWMA {
        var numbers = PeakEWMA()
        if let decay = nanoseconds(message.decayTime) { numbers.decay = max(1_000_000, decay) }
        if let time = nanoseconds(message.defaultRtt) { numbers.defaultTime = max(1_000_000, time) }
        return numbers
    }

    /// What of balancing comes with the endpoints.
    func balancing(
        _ assignment: Envoy.ClusterLoadAssignment?,
        _ settings: ClusterConfiguration.Settings
    ) -> BalancerSettings {
        var made = settings.balancing
        if let policy = assignment?.policy {
            if let factor = policy.overprovisioningFactor { made.overprovisioning = factor }
            made.weighsPriorityHealth = policy.weightedPriorityHealth
            if let drop = policy.dropOverloads.first?.dropPercentage {
                let unit: UInt64 =
                    switch drop.denominator {
                    case .hundred: 10_000
                    case .tenThousand: 100
                    case .million: 1
                    }
                made.dropPerMillion = UInt32(min(1_000_000, UInt64(drop.numerator) * unit))
            }
        }
        if settings.weighsLocalities { made.localityWeights = LocalityBook(assignment).weights }
        return made
    }
}

/// The localities of an assignment in the order in which balancers see them: by priority, then by their names.
struct LocalityBook {
    /// For each entry of the assignment the place of its locality.
    private(set) var places: [UInt16] = []
    /// By place.
    private(set) var weights: [UInt32] = []

    init(_ assignment: Envoy.ClusterLoadAssignment?) {
        let entries = assignment?.endpoints ?? []
        func name(_ entry: Envoy.LocalityLbEndpoints) -> [String] {
            [entry.locality?.region ?? "", entry.locality?.zone ?? "", entry.locality?.subZone ?? ""]
        }
        struct Key: Hashable {
            var priority: UInt32
            var name: [String]
        }
        let keys = entries.map { Key(priority: $0.priority, name: name($0)) }
        let order = Set(keys).sorted { left, right in
            left.priority == right.priority
                ? left.name.lexicographicallyPrecedes(right.name) : left.priority < right.priority
        }
        let places = Dictionary(uniqueKeysWithValues: order.prefix(65_535).enumerated().map { ($1, UInt16($0)) })
        self.places = keys.map { places[$0] ?? 65_535 }
        weights = [UInt32](repeating: 0, count: order.count)
        for (index, entry) in entries.enumerated() {
            // Entries of the same locality say the same weight, or the last one counts.
            if let weight = entry.loadBalancingWeight, Int(self.places[index]) < weights.count {
                weights[Int(self.places[index])] = weight
            }
        }
    }
}
