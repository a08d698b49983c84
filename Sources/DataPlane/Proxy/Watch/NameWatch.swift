import Bytes
import CWeft
import EnvoyAPI
import Glibc
import Reactor

/// Looks up the host names of STRICT_DNS and LOGICAL_DNS clusters, again and again, without ever waiting.
///
/// Belongs to the main thread's loop.
final class NameWatch {
    /// Numbers of one cluster.
    struct Counts {
        var attempts: UInt64 = 0
        var successes: UInt64 = 0
        var failures: UInt64 = 0
        var empty: UInt64 = 0
    }

    /// Numbers of all look-ups.
    struct Totals {
        var questions: UInt64 = 0
        var notFound: UInt64 = 0
        var failures: UInt64 = 0
    }

    /// Called with what is in force after an answer; nil: what was there before stays.
    var onAnswer: (NameRequest, [Address]?) -> Void = { _, _ in }
    /// Called with a line for the process log.
    var onWarning: (String) -> Void = { _ in }
    private(set) var counts: [String: Counts] = [:]
    private(set) var totals = Totals()

    private let loop: HandlerLoop
    private var tasks: [NameRequest: NameTask] = [:]
    private var channels: [NameChannel.Settings: NameChannel] = [:]
    private var tried: Set<NameKey> = []
    private var random = SeededRandom(seed: cweft_monotonic() ^ UInt64(getpid()) << 20)

    init(loop: HandlerLoop) { self.loop = loop }

    /// Questions that wait for an answer.
    var pending: Int { channels.values.reduce(0) { $0 + $1.pending } }

    /// The names to look up from now on. New ones are looked up at once. Not within `onAnswer` of the same turn's channel.
    func setRequests(_ requests: Set<NameRequest>) {
        guard requests.count != tasks.count || requests.contains(where: { tasks[$0] == nil }) else { return }
        for (request, task) in tasks where !requests.contains(request) {
            task.shutdown()
            tasks[request] = nil
        }
        let clusters = Set(requests.map(\.cluster))
        let keys = Set(requests.map(\.key))
        counts = counts.filter { clusters.contains($0.key) }
        tried = tried.filter { keys.contains($0) }
        for request in requests.sorted(by: { ($0.cluster, $0.name) < ($1.cluster, $1.name) })
        where tasks[request] == nil {
            guard let task = NameTask(request, self, loop) else {
                onWarning("the host name \(request.name) cannot be looked up: out of memory")
                continue
            }
            tasks[request] = task
            task.ask()
        }
        let used = Set(requests.map(\.rule.channel))
        for (settings, channel) in channels where !used.contains(settings) && channel.pending == 0 {
            channel.shutdown()
            channels[settings] = nil
        }
    }

    /// Whether every awaited name was answered at least once, whatever the answer.
    var isWarm: Bool { tasks.keys.allSatisfy { !$0.rule.isAwaited || tried.contains($0.key) } }

    var isUsed: Bool { !tasks.isEmpty }

    func shutdown() {
        for task in tasks.values { task.shutdown() }
        tasks = [:]
        for channel in channels.values { channel.shutdown() }
        channels = [:]
    }

    fileprivate func channel(_ settings: NameChannel.Settings) -> NameChannel {
        if let channel = channels[settings] { return channel }
        let channel = NameChannel(settings, loop: loop)
        channels[settings] = channel
        return channel
    }

    fileprivate func asked(_ request: NameRequest) { counts[request.cluster, default: Counts()].attempts += 1 }
    fileprivate func questionSent() { totals.questions += 1 }

    /// Takes an answer over; how long to wait for the next look-up.
    fileprivate func answered(_ request: NameRequest, _ outcome: NameOutcome, failures: Int) -> UInt64 {
        tried.insert(request.key)
        switch outcome {
        case .failed(let reason):
            totals.failures += 1
            counts[request.cluster, default: Counts()].failures += 1
            if failures == 1 {
                onWarning(
                    "the host name \(request.name) of cluster \(request.cluster) cannot be looked up, the last addresses stay: \(reason)"
                )
            }
        case .nothing:
            totals.notFound += 1
            counts[request.cluster, default: Counts()].successes += 1
            counts[request.cluster, default: Counts()].empty += 1
        case .addresses: counts[request.cluster, default: Counts()].successes += 1
        }
        onAnswer(request, request.rule.addresses(after: outcome))
        return request.rule.wait(after: outcome, failures: failures, random: random.next())
    }
}

/// One name of one cluster.
private final class NameTask: EventHandler {
    private let request: NameRequest
    private weak var watch: NameWatch?
    private let loop: HandlerLoop
    private var key: HandlerKey?
    private var failures = 0
    /// An answer that is worked on with the next turn: c-ares is not to be called back from within its own call.
    private var outcome: NameOutcome?
    private var firstFailure: NameOutcome?
    /// The family to ask for when this one gives nothing.
    private var next: NameChannel.Family?

    init?(_ request: NameRequest, _ watch: NameWatch, _ loop: HandlerLoop) {
        self.request = request
        self.watch = watch
        self.loop = loop
        guard let key = try? loop.add(-1, [], self) else { return nil }
        self.key = key
    }

    func shutdown() {
        if let key { loop.remove(key) }
        key = nil
    }

    func ask() {
        watch?.asked(request)
        switch request.rule.family {
        case .all: ask(.both, then: nil)
        case .v4Only: ask(.ipv4, then: nil)
        case .v6Only: ask(.ipv6, then: nil)
        // AUTO prefers IPv4 where Envoy prefers IPv6: `localhost` names both, and most servers listen on 127.0.0.1 only.
        case .auto, .v4Preferred: ask(.ipv4, then: .ipv6)
        }
    }

    private func ask(_ family: NameChannel.Family, then other: NameChannel.Family?) {
        guard let watch else { return }
        watch.questionSent()
        watch.channel(request.rule.channel).lookUp(request.name, family) { [weak self] answer in
            self?.answered(answer, then: other)
        }
    }

    private func answered(_ answer: NameChannel.Answer, then other: NameChannel.Family?) {
        switch answer {
        case .addresses(let addresses, let seconds):
            var found = addresses.map(Address.init)
            // In a fixed order, so that equal answers are equal.
            if !request.rule.isLogical { found.sort { $0.display < $1.display } }
            outcome = .addresses(found, secondsToLive: seconds)
        case .nothing: outcome = .nothing
        case .failed(let reason): outcome = .failed(reason)
        }
        next = other
        if let key { loop.setTimer(key, Instant(nanoseconds: 0)) }
    }

    func ready(_ readiness: Readiness) {}

    func timerFired() {
        guard var outcome else {
            ask()
            return
        }
        self.outcome = nil
        if let other = next {
            next = nil
            guard case .addresses = outcome else {
                if case .failed = outcome { firstFailure = outcome }
                ask(other, then: nil)
                return
            }
        }
        // That one family has no address says nothing about the one that could not be asked for.
        if let failure = firstFailure, case .nothing = outcome { outcome = failure }
        firstFailure = nil
        if case .failed = outcome { failures += 1 } else { failures = 0 }
        guard let watch else { return }
        let wait = watch.answered(request, outcome, failures: failures)
        if let key { loop.setTimer(key, Instant.read().advanced(byNanoseconds: max(1_000_000, wait))) }
    }
}

extension Address {
    /// An address of a name, without a port.
    init(_ socket: SocketAddress) {
        let key = IPKey(socket)
        self.init(
            host: socket.isIPv6 ? .ipv6(high: key.high, low: key.low) : .ipv4(UInt32(truncatingIfNeeded: key.low)),
            port: socket.port
        )
    }
}
