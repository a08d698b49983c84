import Reactor
import TLS

/// What has to be remembered of few connections, beside their slab element.
struct ConnectionNotes {
    /// Places that it holds.
    var limits: [ConnectionLimit] = []
    /// Whoever opened the connection, where a balancer in front named another client.
    var directPeer: SocketAddress?
    /// What endpoints are told of the client's certificate; empty where they are told nothing of it. nil: it gave none.
    var clientCertificate: [UInt8]?
    /// Bytes, the version of HTTP and what was wrong, of the requests so far: where the listener is logged.
    var received: UInt64 = 0
    var sent: UInt64 = 0
    var version: UInt8 = 0
    var flags: ResponseFlags = []
    /// The name in a TLS hello that was only looked at.
    var serverName: String?
}

extension Worker {
    /// Changes what is remembered of a connection.
    func note(_ place: DownstreamPlace, _ change: (inout ConnectionNotes) -> Void) {
        place.pointee.flags.insert(.isNoted)
        change(&notes[place.pointee.id, default: ConnectionNotes()])
    }

    /// What is remembered of a connection, if anything is.
    func notes(of place: DownstreamPlace) -> ConnectionNotes? {
        place.pointee.flags.contains(.isNoted) ? notes[place.pointee.id] : nil
    }

    /// The connection is closed.
    func forgetNotes(_ place: DownstreamPlace) {
        guard let known = notes.removeValue(forKey: place.pointee.id) else { return }
        giveBack(known.limits)
    }

    private func giveBack(_ limits: [ConnectionLimit]) {
        for limit in limits {
            limit.giveBack()
            countFilter(limit.active, -1)
        }
    }

    /// The name that a client asked for with TLS, whoever ends the TLS; nil: none.
    func requestedServerName(_ place: DownstreamPlace) -> String? {
        place.pointee.tls?.serverName ?? notes(of: place)?.serverName
    }

    /// Takes the places that a chain bounds. False: there is none, and the connection is dealt with.
    func takePlaces(_ index: Int32, _ place: DownstreamPlace, _ chain: FilterChainConfiguration) -> Bool {
        guard !chain.limits.isEmpty else { return true }
        var taken: [ConnectionLimit] = []
        for limit in chain.limits {
            if limit.take(now: now) {
                countFilter(limit.active)
                taken.append(limit)
                continue
            }
            giveBack(taken)
            metrics.count(.connectionsLimited)
            countFilter(limit.refused)
            if limit.isOfListener { tallyListener(place) { $0.limited &+= 1 } }
            turnAway(index, place, after: limit.delay)
            return false
        }
        note(place) { $0.limits = taken }
        return true
    }

    /// Closes a connection that is not let in, after a while where there is a delay: whoever comes again and again is slowed
    /// down by waiting for the end.
    func turnAway(_ index: Int32, _ place: DownstreamPlace, after delay: UInt64) {
        guard delay > 0 else {
            closeDownstream(index, place, flags: [])
            return
        }
        place.pointee.state = .lingering
        place.pointee.since = now &+ delay &- Limits.lingerTime
        armDownstream(index, place)
    }
}
