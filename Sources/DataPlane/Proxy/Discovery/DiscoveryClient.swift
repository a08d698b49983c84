import Bytes
import CWeft
import EnvoyAPI
import Glibc
import Reactor

/// What one control plane is asked for: keeps a stream to it, and brings what comes to the configuration.
///
/// Belongs to the main thread's loop.
final class DiscoveryClient: EventHandler, DiscoveryStreamOwner {
    /// Gives where the next stream goes, or why there is nowhere to go; with the number of the try.
    var onTarget: (Int) -> Result<DiscoveryStream.Target, DiscoveryTrouble> = { _ in .failure(DiscoveryTrouble("")) }
    /// Tries an update; what is wrong with it.
    var onUpdate: (DiscoveryUpdate) -> [ResourceFault] = { _ in [] }
    /// Everything that came together is taken over.
    var onRest: () -> Void = {}

    let server: DiscoveryServer
    private(set) var session: DiscoverySession
    /// Why there is no stream; nil: there is one, or the first try goes on.
    private(set) var trouble: String?

    private let loop: HandlerLoop
    private let log: ProcessLog
    private var stream: DiscoveryStream?
    private var key: HandlerKey?
    private var delay = ReconnectDelay()
    private var random = SeededRandom(seed: cweft_monotonic() ^ UInt64(getpid()) << 32)
    private var tries = 0
    /// When the next try begins; nil: none is to.
    private var retryAt: UInt64?
    /// A stream that has not opened by then is given up.
    private var openBy: UInt64?
    /// The control plane was last looked for at a Unix socket.
    private var isLocal = false
    private var isTaking = false
    private var isShutDown = false

    init(_ server: DiscoveryServer, node: Envoy.Node, loop: HandlerLoop, log: ProcessLog) {
        self.server = server
        self.loop = loop
        self.log = log
        session = DiscoverySession(server.variant, node: node, repeatsNode: server.repeatsNode)
        key = try? loop.add(-1, [], self)
    }

    var isConnected: Bool { session.isConnected }

    func shutdown() {
        isShutDown = true
        stream?.close()
        stream = nil
        if let key { loop.remove(key) }
        key = nil
    }

    // MARK: Wishes

    /// Subscribes to all resources of a kind.
    func wantAll(_ kind: ResourceKind, wait: UInt64) {
        session.wantAll(kind, wait: wait, now: cweft_monotonic())
        pump()
    }

    /// Makes these the names that are wanted.
    func want(_ wishes: [ResourceKind: [String: UInt64]]) {
        for kind in ResourceKind.allCases {
            if let names = wishes[kind] { session.want(kind, names, now: cweft_monotonic()) }
        }
        pump()
    }

    /// Sends what is due, and sees to it that there is a stream.
    private func pump() {
        guard !isTaking, !isShutDown else { return }
        if stream == nil, retryAt == nil, session.subscriptions.contains(where: \.isWanted) { connect() }
        send()
        arm()
    }

    private func send() {
        while session.isConnected, let stream, let request = session.nextRequest() { stream.send(request) }
    }

    // MARK: The workers

    /// What was taken so far is in the snapshot of this generation.
    func committed(_ generation: UInt64) { session.committed(generation) }

    /// All workers use the snapshot of this generation.
    func applied(_ generation: UInt64) {
        if session.applied(generation) { pump() }
    }

    private func arm() {
        guard let key else { return }
        let next = [session.deadline, retryAt, openBy].compactMap { $0 }.min()
        loop.setTimer(key, next.map { Instant(nanoseconds: $0) })
    }

    // MARK: The stream

    private func connect() {
        retryAt = nil
        tries += 1
        switch onTarget(tries) {
        case .failure(let why): lost(why.text)
        case .success(let target):
            openBy = cweft_monotonic() &+ target.connectTimeout
            if case .pipe = target.address.host { isLocal = true } else { isLocal = false }
            stream = DiscoveryStream(target, owner: self, loop: loop)
            if stream == nil { lost("cannot connect to \(target.address.display)") }
        }
    }

    private func lost(_ reason: String) {
        stream = nil
        openBy = nil
        session.disconnected()
        let wait = delay.next(random.next(), isLocal: isLocal)
        retryAt = cweft_monotonic() &+ wait
        if trouble != reason {
            log.warning(
                "the control plane is lost; what it gave stays in force",
                ["cluster": server.cluster, "reason": reason]
            )
        }
        trouble = reason
    }

    func streamOpened(_ stream: DiscoveryStream) {
        openBy = nil
        trouble = nil
        session.connected()
        log.info("connected with the control plane", ["cluster": server.cluster, "path": server.path])
        pump()
    }

    func streamReceived(_ stream: DiscoveryStream, _ message: [UInt8]) {
        delay.reset()
        switch session.received(message) {
        case .malformed(let why):
            stream.close()
            lost("a response is no message of the protocol: \(why)")
            pump()
        case .ignored(let type): log.log(.debug, "a response that nobody asked for", ["type": type])
        case .update(let update): take(update)
        }
    }

    private func take(_ update: DiscoveryUpdate) {
        isTaking = true
        let isRefused = update.isWhole && !update.faults.isEmpty
        let faults = isRefused ? [] : onUpdate(update)
        // A server that does not wait for answers gets the one before first.
        if session[update.kind].held != nil {
            session.release(update.kind)
            send()
        }
        session.settle(update, faults, now: cweft_monotonic(), holds: true)
        isTaking = false
        let all = update.faults + faults
        if !all.isEmpty {
            log.warning(
                "the control plane's \(update.kind.label)s are refused, those before stay",
                ["version": update.version, "error": DiscoverySession.text(all)]
            )
        }
        pump()
    }

    func streamRests(_ stream: DiscoveryStream) { onRest() }

    func streamEnded(_ stream: DiscoveryStream, _ reason: String) {
        guard stream === self.stream else { return }
        lost(reason)
        pump()
        onRest()
    }

    func ready(_ readiness: Readiness) {}

    func timerFired() {
        let now = cweft_monotonic()
        for update in session.fired(now: now) {
            isTaking = true
            _ = onUpdate(update)
            isTaking = false
        }
        if let time = openBy, time <= now {
            stream?.close()
            lost("the control plane does not answer")
        }
        if let time = retryAt, time <= now { retryAt = nil }
        pump()
        onRest()
    }
}

/// Why a control plane cannot be asked at present.
struct DiscoveryTrouble: Error {
    var text: String

    init(_ text: String) { self.text = text }
}
