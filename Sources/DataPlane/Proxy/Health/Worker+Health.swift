import Bytes
import CWeft
import HTTP
import Reactor
import Traffic

/// What health checks say, in a worker.
extension Worker {
    func take(_ change: HealthChange) {
        guard let cluster = cluster(change.cluster, change.identity),
            let slot = cluster.pointee.set.slot(of: change.endpoint)
        else { return }
        cluster.pointee.set.setCheck(slot, change.state, unejects: change.unejects, now: now)
        guard change.state == .failed, cluster.pointee.configuration.settings.closesUnhealthy else { return }
        closeIdle(cluster, slot)
        for index in 0..<upstreams.used {
            let upstream = upstreams.pointer(index)
            guard upstream.pointee.isLive, upstream.pointee.cluster == cluster, upstream.pointee.endpoint == slot else {
                continue
            }
            // Relayed connections are cut by the end of their descriptor's directions; requests end with their answers.
            if upstream.pointee.state == .tunnel {
                Socket.shutdown(upstream.pointee.fd)
            } else {
                upstream.pointee.flags.insert(.closesAfterResponse)
            }
        }
    }

    /// An endpoint may ask with any answer to be left out at once.
    func lookForFailure(_ upstream: UpstreamPlace, _ base: UnsafeRawPointer) {
        let wanted: StaticString = "x-envoy-immediate-health-check-fail"
        for index in 0..<responseFields.count where responseFields.names[index] == .envoy {
            let field = responseFields.fields[index]
            guard Int(field.nameLength) == wanted.utf8CodeUnitCount,
                cweft_equals_lower(base + Int(field.nameStart), wanted.utf8Start, wanted.utf8CodeUnitCount) != 0
            else { continue }
            let cluster = upstream.pointee.cluster
            let slot = upstream.pointee.endpoint
            let state = cluster.pointee.set[slot]
            guard slot >= 0, state.check != .none, state.check.isUsable else { return }
            cluster.pointee.set.setCheck(slot, .failed, now: now)
            control.post(.healthFailed(cluster: cluster.pointee.identity, endpoint: state.id))
            return
        }
    }
}
