import Bytes
import CWeft
import Glibc
import Reactor
import TLS
import Traffic

/// Opens and closes listening sockets.
extension Worker {
    func applyListeners(_ snapshot: Snapshot) {
        while listeners.count < snapshot.listeners.count { listeners.append(nil) }
        for index in listeners.indices {
            let wanted = index < snapshot.listeners.count ? snapshot.listeners[index] : nil
            if let present = listeners[index], present.configuration.identity != wanted?.identity {
                closeSockets(present)
                listeners[index] = nil
            }
            guard let wanted else { continue }
            if let present = listeners[index] {
                let keepsSockets = present.configuration.socket == wanted.socket
                present.configuration = wanted
                if keepsSockets, !present.hasFailed { continue }
                if !keepsSockets { closeSockets(present) }
                open(present)
            } else {
                let state = ListenerState(wanted)
                listeners[index] = state
                open(state)
            }
        }
        logsListeners = listeners.contains { !($0?.configuration.settings.accessLogs.isEmpty ?? true) }
    }

    /// Tries again what could not be opened: a namespace may come late, a port may become free.
    func retryListeners() {
        for case let state? in listeners where state.hasFailed { open(state) }
    }

    /// Unix sockets cannot be listened on by two: the proxy before this one leaves soon, and its clients are not to wait.
    func openVacant() {
        for case let state? in listeners where state.hasFailed && state.isTakenSince > 0 {
            if state.configuration.socket.isVacant { open(state) } else { awaitVacancy(state) }
        }
    }

    private func awaitVacancy(_ state: ListenerState) {
        if state.isTakenSince == 0 { state.isTakenSince = now }
        guard now &- state.isTakenSince < Limits.vacancyPatience else { return }
        loop.timers.set(vacancyTimer, Instant(nanoseconds: now &+ Limits.vacancyInterval))
    }

    private func open(_ state: ListenerState) {
        state.hasFailed = false
        guard state.configuration.socket.bindsToPort, !isDraining else { return }
        closeSockets(state)
        do throws(SystemError) {
            let settings = state.configuration.socket
            for (position, address) in settings.addresses.enumerated() {
                let options = settings.options.indices.contains(position) ? settings.options[position] : []
                for socket in try sockets(at: address, options, settings) {
                    state.sockets.append(socket)
                    let token = Token(.listener, state.configuration.index, generation: socket.generation)
                    try loop.watch(socket.fd, .read, token: token.raw)
                    announce(socket)
                }
            }
            if overload.isWhole(.stopAcceptingConnections) { pauseAccepting(state) }
            if state.lastError != nil { report(state, nil) }
            state.lastError = nil
            state.isTakenSince = 0
        } catch {
            closeSockets(state)
            state.hasFailed = true
            if error.code == EADDRINUSE, state.configuration.socket.hasPaths { awaitVacancy(state) }
            let text = "\(error)"
            if state.lastError != text { report(state, text) }
            state.lastError = text
        }
    }

    private func report(_ state: ListenerState, _ error: String?) {
        control.post(.listenerState(worker: number, listener: state.configuration.name, error: error))
    }

    /// The sockets of an address: kept ones, or a new one.
    private func sockets(
        at address: Address,
        _ options: [SocketOption],
        _ settings: ListenerConfiguration.Socket
    ) throws(SystemError) -> [ListenSocket] {
        if case .pipe(let path) = address.host {
            let fd = try control.unixListeners.take(path, mode: address.mode, backlog: settings.backlog, from: vault)
            return [ListenSocket(fd: fd, address: SocketAddress(), generation: nextGeneration(), path: path)]
        }
        var network = Socket.Network.own
        var identity: UInt64 = 0
        if let path = address.namespacePath {
            guard let place = networkPlace(path) else { throw SystemError(code: ENOENT, operation: "open \(path)") }
            network = place.network
            identity = place.identity
        }
        let wanted = address.socketAddress ?? SocketAddress()
        let sharesPort = workerCount > 1 || settings.reusesPort
        let kept = KeptListener(address: wanted, network: identity)
        let share = vault?.take(kept, worker: number, sharesPort: sharesPort) ?? []
        guard share.isEmpty else {
            for fd in share { Socket.listen(fd, backlog: settings.backlog) }
            metrics.count(.listenersTakenOver, UInt64(share.count))
            return share.map {
                ListenSocket(fd: $0, address: wanted, generation: nextGeneration(), network: identity)
            }
        }
        let fd = try Socket.listen(
            wanted,
            sharesPort: sharesPort,
            backlog: settings.backlog,
            options: options,
            network: network
        )
        // Accepted connections inherit it: one system call less for each.
        Socket.setNoDelay(fd)
        let real = Socket.localAddress(fd) ?? wanted
        return [ListenSocket(fd: fd, address: real, generation: nextGeneration(), network: identity)]
    }

    /// In a standing queue few connections wait to be accepted, so that those which are accepted are young; the kernel turns the others
    /// away, for nothing.
    func fitAcceptQueues() {
        for case let state? in listeners {
            let usual = state.configuration.socket.backlog
            for socket in state.sockets where socket.path == nil {
                Socket.listen(socket.fd, backlog: backlog.isShedding ? min(usual, Limits.lateQueue) : usual)
            }
        }
    }

    private func nextGeneration() -> UInt32 {
        connectionIDs &+= 1
        return UInt32(truncatingIfNeeded: connectionIDs) & Token.generationMask
    }

    /// Ends sockets that are no longer configured.
    private func closeSockets(_ state: ListenerState) {
        for socket in state.sockets {
            // Others may hold the socket, too: closing alone would neither end it nor take it out of the loop.
            loop.unwatch(socket.fd)
            if socket.path == nil, vault != nil, let inode = Socket.inode(socket.fd) {
                Socket.stopListening(socket.fd)
                control.post(.listenerClosed(inode: inode))
            }
            close(socket, keeps: false)
        }
        state.sockets = []
    }

    private func close(_ socket: ListenSocket, keeps: Bool) {
        Socket.close(socket.fd)
        guard let path = socket.path, let inode = control.unixListeners.giveBack(path, keeps: keeps) else { return }
        if vault != nil { control.post(.listenerClosed(inode: inode)) }
    }

    /// Accepts no more. Sockets that the keeper has go on to collect connections for the next proxy.
    func closeAllListeners() {
        for case let state? in listeners {
            for socket in state.sockets {
                loop.unwatch(socket.fd)
                close(socket, keeps: vault != nil)
            }
            state.sockets = []
        }
    }

    /// Tells the keeper of all sockets again: it is another one.
    func announceListeners() {
        for case let state? in listeners {
            for socket in state.sockets { announce(socket) }
        }
    }

    private func announce(_ socket: ListenSocket) {
        guard vault != nil else { return }
        let name: KeeperMessage
        if let path = socket.path {
            guard let kept = control.unixListeners.name(of: path) else { return }
            name = .holdPath(kept)
        } else if let network = socket.network {
            name = .hold(KeptListener(address: socket.address, network: network))
        } else {
            return
        }
        let fd = Socket.duplicate(socket.fd)
        guard fd >= 0 else { return }
        control.post(.listenerOpened(name, fd: fd))
    }

    // MARK: Accepting

    func acceptReady(_ token: Token) {
        guard token.index >= 0, Int(token.index) < listeners.count, let state = listeners[Int(token.index)],
            let position = state.sockets.firstIndex(where: { $0.generation == token.generation })
        else { return }
        let socket = state.sockets[position]
        // In a standing queue those that still wait are found behind many that do not.
        let begin = backlog.isShedding ? Instant.read() : Instant(nanoseconds: 0)
        for turn in 0..<(backlog.isShedding ? Limits.lateAccepts : state.configuration.settings.accepts) {
            if turn & 15 == 15, begin.nanoseconds > 0, Instant.read().since(begin) > Limits.lateAcceptTime { return }
            var peer = SocketAddress()
            let fd = Socket.accept(socket.fd, peer: &peer)
            if fd < 0 {
                acceptFailed(-fd, state, position)
                return
            }
            if backlog.isRaised {
                if turn == 0 {
                    acceptWait = max(acceptWait, Socket.silence(fd))
                    if backlog.isWatching, Socket.hasFullQueue(socket.fd) { backlog.overflows() }
                }
                if backlog.isShedding,
                    Socket.isEnded(fd) || backlog.closesRefused && Socket.silence(fd) > Limits.kernelTicks
                {
                    backlog.leaves()
                    metrics.count(.connectionsShed)
                    Socket.close(fd)
                    continue
                }
            }
            accepted(fd, peer, state, socket.address)
        }
    }

    private func acceptFailed(_ code: Int32, _ state: ListenerState, _ position: Int) {
        switch code {
        case EAGAIN: return
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            // Without descriptors the listener stays readable: one waiter is turned away, then accepting rests.
            metrics.count(.acceptFailures)
            _ = reserve.shed(state.sockets[position].fd)
            state.sockets[position].isPaused = true
            let token = Token(.listener, state.configuration.index, generation: state.sockets[position].generation)
            loop.change(state.sockets[position].fd, [], token: token.raw)
            loop.timers.set(acceptTimer, Instant(nanoseconds: now &+ Limits.acceptPause))
        default: metrics.count(.acceptFailures)
        }
    }

    func resumeAccepting() {
        guard !overload.isWhole(.stopAcceptingConnections) else { return }
        for case let state? in listeners {
            for position in state.sockets.indices where state.sockets[position].isPaused {
                state.sockets[position].isPaused = false
                let token = Token(.listener, state.configuration.index, generation: state.sockets[position].generation)
                loop.change(state.sockets[position].fd, .read, token: token.raw)
            }
        }
    }

    private func accepted(_ fd: Int32, _ peer: SocketAddress, _ state: ListenerState, _ address: SocketAddress) {
        metrics.count(.downstreamConnectionsTotal)
        state.connectionsTotal &+= 1
        if isUnderPressure, refusesConnection() {
            Socket.close(fd)
            return
        }
        let configuration = state.configuration
        let most =
            configuration.settings.ignoresProcessLimit ? 0 : current.pointee.snapshot.limits.maxDownstreamConnections
        guard control.connections.take(most: most) else {
            metrics.count(.downstreamConnectionsRefused)
            state.tally.refused &+= 1
            Socket.close(fd)
            return
        }
        guard let index = downstreams.take() else {
            control.connections.giveBack()
            metrics.count(.downstreamConnectionsRefused)
            Socket.close(fd)
            return
        }
        let place = downstreams.pointer(index)
        connectionIDs &+= 1
        place.pointee.fd = fd
        place.pointee.peer = peer
        place.pointee.id = connectionIDs
        place.pointee.acceptedAt = now
        place.pointee.readLimit = Int32(clamping: max(1, configuration.settings.perConnectionBufferLimit))
        place.pointee.since = now
        place.pointee.listener = configuration.index
        place.pointee.callerLabels = configuration.settings.callerLabels
        place.pointee.destination = address
        let token = Token(.downstream, index, generation: place.pointee.generation)
        let timer = Token(.downstreamTimer, index, generation: place.pointee.generation)
        guard loop.tryWatch(fd, .read, token: token.raw) else {
            metrics.count(.systemCallFailures)
            control.connections.giveBack()
            Socket.close(fd)
            downstreams.give(index)
            return
        }
        place.pointee.timer = loop.timers.make(token: timer.raw)
        state.connections += 1
        metrics.add(.downstreamConnections, 1)
        admit(index, place, configuration)
    }

    /// Finds the listener and the chain that serve a new connection. A destination that a balancer in front has `named`
    /// counts; without one it is found out.
    func route(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ accepting: ListenerConfiguration,
        named: SocketAddress? = nil
    ) {
        var configuration = accepting
        let settings = accepting.settings
        let isWildcard = place.pointee.destination.isAny || place.pointee.destination.family == 0
        if let named {
            place.pointee.destination = named
        } else if settings.usesOriginalDestination || settings.readsOriginalDestination {
            if let original = Socket.originalDestination(place.pointee.fd) ?? Socket.localAddress(place.pointee.fd) {
                place.pointee.destination = original
            }
        } else if isWildcard, let local = Socket.localAddress(place.pointee.fd) {
            place.pointee.destination = local
        }
        if settings.usesOriginalDestination {
            let snapshot = current.pointee.snapshot
            let target = place.pointee.destination
            if let other = snapshot.listener(forDestination: IPKey(target), port: target.port),
                other != accepting.index, let handed = snapshot.listeners[Int(other)]
            {
                configuration = handed
            }
        }
        if configuration.needsApplicationProtocol || configuration.needsTLSInspection {
            startDetection(index, place, configuration)
        } else {
            serve(index, place, configuration.chain(for: facts(place)), of: configuration)
        }
    }

    /// What is known of a connection for the choice of its chain.
    func facts(_ place: DownstreamPlace) -> ConnectionFacts {
        ConnectionFacts(
            destination: IPKey(place.pointee.destination),
            destinationPort: place.pointee.destination.port,
            source: IPKey(place.pointee.peer),
            sourcePort: place.pointee.peer.port,
            directSource: IPKey(notes(of: place)?.directPeer ?? place.pointee.peer),
            hasAddress: place.pointee.peer.family != 0
        )
    }

    /// Starts the chain's filter; without a chain the connection is closed, as Envoy does.
    func serve(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ chain: FilterChainConfiguration?,
        of listener: ListenerConfiguration
    ) {
        if let chain, !takePlaces(index, place, chain) { return }
        if let chain, let holder = chain.tls {
            startHandshake(index, place, chain, holder, listener)
        } else {
            start(index, place, chain)
        }
    }

    /// Whether a connection speaks HTTP/2 from its first byte; where that byte tells, it is looked at when it comes.
    private func speaksHTTP2(_ place: DownstreamPlace, _ chain: ChainPlace) -> Bool {
        if chain.pointee.codec == .http2 || place.pointee.tls?.applicationProtocol == "h2" { return true }
        if place.pointee.tls?.applicationProtocol == nil { place.pointee.flags.insert(.mayBeHTTP2) }
        return false
    }

    /// Starts the chain's filter on bytes that can be read.
    func start(_ index: Int32, _ place: DownstreamPlace, _ chain: FilterChainConfiguration?) {
        if let chain, !admit(index, place, chain) { return }
        switch chain?.filter {
        case .http(let configuration):
            let chain = chainPlace(configuration)
            chain.pointee.users += 1
            place.pointee.chain = chain
            place.pointee.state = .http
            place.pointee.since = now
            let isHTTP2 = chain.pointee.codec != .http1 && speaksHTTP2(place, chain)
            tallyOpened(place, chain, isHTTP2: isHTTP2)
            if isHTTP2 {
                var held = place.pointee.input
                place.pointee.input = Buffer()
                startSession(index, place, held.bytes, held.count)
                buffers.give(&held)
                return
            }
            armDownstream(index, place)
            if !place.pointee.input.isEmpty { enqueue(index, place) }
        case .tcp(let configuration): startTunnel(index, place, configuration)
        case .text(let text): answerWithText(index, place, text)
        case .echo: startEcho(index, place)
        case nil:
            let listener = Int(place.pointee.listener)
            if listener >= 0, listener < listeners.count { listeners[listener]?.tally.noChain &+= 1 }
            closeDownstream(index, place, flags: .noRoute)
        }
    }
}
