/// The way on which changes go to the machine's proxy, as far as the controllers need it.
package protocol ProxyFeed: Sendable {
    /// Suspends until every worker of the proxy uses all that its `DiscoverySink` was told before the call, or has refused it.
    ///
    /// - Parameters:
    ///   - silence: after so long without a proxy nothing is waited for.
    ///   - limit: the longest wait for a proxy that is there.
    /// - Returns: how the wait ended.
    func confirm(silence: Duration, limit: Duration) async -> ProxyConfirmation

    /// What the proxy refused and did not get in another version since, by the resource's name: why.
    func refusals() async -> [String: String]

    /// Nothing is waited for from now on.
    func stop() async
}

/// What came of the wait for the proxy.
package enum ProxyConfirmation: Sendable, Equatable {
    /// All workers use it.
    case confirmed
    /// No proxy is there.
    case silent
    /// The proxy is there and takes too long.
    case late
}
