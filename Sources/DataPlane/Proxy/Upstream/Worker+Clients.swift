import Bytes
import Traffic

/// Clients that stay with their endpoint (`weft.dev/clients` of a cluster).
extension Worker {
    /// The endpoint that the request's client was with, if it can still be used: only its first try goes by that.
    func keptSlot(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Int32? {
        guard exchange.pointee.retries == 0, let client = exchange.pointee.extras?.pointee.hash else { return nil }
        let (time, timeout) = (now, cluster.pointee.clientTimeout)
        let known = cluster.pointee.configuration.usage.clients.withLock {
            $0.endpoint(of: client, now: time, timeout: timeout)
        }
        guard let known, let slot = cluster.pointee.set.slot(of: known) else { return nil }
        let state = cluster.pointee.set[slot]
        return state.isPresent && state.isHealthy && !state.isEjected && state.check.isUsable ? slot : nil
    }

    /// Remembers the endpoint that was chosen for a client that had none.
    func keepClient(_ exchange: ExchangePlace, _ cluster: ClusterPlace, _ slot: Int32) {
        guard exchange.pointee.retries == 0, let client = exchange.pointee.extras?.pointee.hash else { return }
        let (time, timeout, endpoint) = (now, cluster.pointee.clientTimeout, cluster.pointee.set[slot].id)
        cluster.pointee.configuration.usage.clients.withLock {
            $0.keep(client, at: endpoint, now: time, timeout: timeout)
        }
    }
}
