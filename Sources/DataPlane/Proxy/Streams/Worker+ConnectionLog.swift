import Bytes
import Traffic

/// The access log of a listener: a line for each connection, when it ends.
extension Worker {
    /// The logs of a connection's listener.
    func listenerLogs(_ place: DownstreamPlace) -> [AccessLogIndex] {
        let listener = Int(place.pointee.listener)
        guard listener >= 0, listener < listeners.count else { return [] }
        return listeners[listener]?.configuration.settings.accessLogs ?? []
    }

    /// What a request adds to its connection's line.
    func noteForConnection(_ exchange: ExchangePlace, _ place: DownstreamPlace) {
        var connection = place
        if place.pointee.isStream {
            guard place.pointee.session >= 0 else { return }
            connection = downstreams.pointer(sessions.pointer(place.pointee.session).pointee.downstream)
        }
        note(connection) { notes in
            notes.received &+= exchange.pointee.bytesReceived
            notes.sent &+= exchange.pointee.bytesSent
            notes.version = place.pointee.isStream ? 20 : exchange.pointee.flags.contains(.isHTTP10) ? 10 : 11
            let own: ResponseFlags = [.downstreamProtocolError, .overloadManager]
            notes.flags.formUnion(exchange.pointee.responseFlags.intersection(own))
        }
    }

    /// The line of a connection that was no relay; a relay's own line told all.
    func logConnection(_ place: DownstreamPlace, flags: ResponseFlags, wasRelay: Bool) {
        let logs = listenerLogs(place)
        guard !logs.isEmpty, !wasRelay else { return }
        var entry = AccessLogEntry()
        let notes = notes(of: place)
        let begin = place.pointee.acceptedAt
        entry.numbers.startTime = begin &+ wallOffset
        entry.numbers.duration = now > begin ? now &- begin : 0
        entry.numbers.bytesReceived = notes?.received ?? 0
        entry.numbers.bytesSent = notes?.sent ?? 0
        entry.numbers.wireReceived = entry.numbers.bytesReceived
        entry.numbers.wireSent = entry.numbers.bytesSent
        entry.numbers.version = notes?.version ?? 0
        entry.numbers.connectionID = place.pointee.id
        let own: ResponseFlags = [.noRoute, .overloadManager, .downstreamProtocolError, .durationTimeout]
        entry.numbers.flags = flags.intersection(own).union(notes?.flags ?? [])
        entry.numbers.remote = place.pointee.peer
        entry.numbers.directRemote = notes?.directPeer ?? place.pointee.peer
        entry.numbers.local = place.pointee.destination
        entry.isTLS = place.pointee.tls != nil
        append(&entry, to: logs, current.pointee.snapshot, place)
    }
}
