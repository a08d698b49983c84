import CWeft
import HTTP
import Reactor
import Traffic

/// Checks one endpoint, again and again.
///
/// Belongs to the monitor's loop.
final class EndpointCheck: EventHandler {
    let identity: UInt64
    private(set) var target: CheckTarget
    private(set) var judge: HealthJudge
    private unowned let cluster: ClusterChecks
    private var timer: HandlerKey?
    private var connection: CheckConnection?
    private var streams: CheckStreams?
    private var isRunning = false
    private var answer = CheckAnswer(limit: 0, method: .get)
    private var received: [UInt8] = []

    init?(_ identity: UInt64, _ target: CheckTarget, _ cluster: ClusterChecks) {
        self.identity = identity
        self.target = target
        self.cluster = cluster
        judge = HealthJudge()
        guard let timer = try? cluster.loop.add(-1, [], self) else { return nil }
        self.timer = timer
        let jitter = cluster.settings.intervals.initialJitter
        let wait = jitter > 0 ? cluster.random() % jitter : 0
        cluster.loop.setTimer(timer, Instant.read().advanced(byNanoseconds: wait))
    }

    func shutdown() {
        closeConnection()
        if let timer { cluster.loop.remove(timer) }
        timer = nil
    }

    /// The endpoint is elsewhere now, or is checked in another way: what was found out stays, the connection goes.
    func update(_ target: CheckTarget, isOtherCheck: Bool) {
        guard target != self.target || isOtherCheck else { return }
        self.target = target
        if !isRunning { closeConnection() }
    }

    private func closeConnection() {
        connection?.close()
        connection = nil
        streams = nil
    }

    // MARK: A check

    func ready(_ readiness: Readiness) {}

    func timerFired() {
        guard isRunning else {
            begin()
            return
        }
        finish(.network, keepsConnection: false, isTimeout: true)
    }

    private func begin() {
        isRunning = true
        cluster.count { $0.attempts += 1 }
        if let timer {
            cluster.loop.setTimer(timer, Instant.read().advanced(byNanoseconds: cluster.settings.timeout))
        }
        if let connection, connection.isOpen, streams?.canServe ?? true {
            ask(connection)
        } else {
            connect()
        }
    }

    private func connect() {
        closeConnection()
        connection = cluster.connect(self, target)
        if connection == nil { finish(.network, keepsConnection: false) }
    }

    func connected(_ connection: CheckConnection) {
        guard isRunning, connection === self.connection else { return }
        ask(connection)
    }

    private func ask(_ connection: CheckConnection) {
        received = []
        switch cluster.settings.kind {
        case .tcp(let send, let receive):
            if !send.isEmpty { connection.send(send) }
            if receive.isEmpty { finish(.healthy, keepsConnection: false) }
        case .http(let check):
            answer = CheckAnswer(limit: check.bodyLimit, method: check.method == "HEAD" ? .head : .get)
            let text = cluster.request(
                check.method,
                check.path,
                host: target.host ?? check.host,
                check.fields,
                body: check.send,
                isHTTP2: check.isHTTP2
            )
            let body = check.send.isEmpty ? nil : check.send
            if check.isHTTP2 { stream(connection, text, body, check.bodyLimit) } else { connection.send(text) }
        case .grpc(let check):
            let fields = [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "Envoy/HC")]
            let text = cluster.request(
                "POST",
                "/grpc.health.v1.Health/Check",
                host: target.host ?? check.authority,
                fields + check.fields,
                isHTTP2: true
            )
            stream(connection, text, HealthMessage.request(check.service), HealthCheckSettings.bodyLimit)
        }
    }

    private func stream(_ connection: CheckConnection, _ text: [UInt8], _ body: [UInt8]?, _ limit: Int) {
        if streams == nil { streams = CheckStreams(limit: limit) }
        guard let streams, streams.begin(text, body: body, isHTTPS: cluster.settings.tls != nil) else {
            finish(.network, keepsConnection: false)
            return
        }
        connection.send(streams.output())
    }

    func received(_ connection: CheckConnection, _ bytes: [UInt8]) {
        guard connection === self.connection else { return }
        guard isRunning || streams != nil else {
            // Nothing was asked: such a connection is not to be trusted.
            closeConnection()
            return
        }
        switch cluster.settings.kind {
        case .tcp(_, let receive):
            received += bytes
            if received.count > Int(HealthCheckSettings.largestBody) { return finish(.network, keepsConnection: false) }
            if holdsInOrder(received, receive) { finish(.healthy, keepsConnection: true) }
        case .http(let check) where !check.isHTTP2:
            switch answer.take(bytes, &cluster.table.fields) {
            case .waiting: break
            case .broken: finish(.network, keepsConnection: false)
            case .done(let keeps): judge(check, keepsConnection: keeps)
            }
        case .http, .grpc: takeStream(connection, bytes)
        }
    }

    private func judge(_ check: HTTPCheck, keepsConnection: Bool) {
        let result = check.judge(status: answer.status, body: answer.body) { self.answer.fields[$0] }
        finish(result, keepsConnection: keepsConnection)
    }

    private func takeStream(_ connection: CheckConnection, _ bytes: [UInt8]) {
        guard let streams else { return }
        let goesOn = streams.take(bytes, now: cweft_monotonic())
        connection.send(streams.output())
        guard connection === self.connection else { return }
        guard isRunning else {
            if !goesOn || streams.isGoingAway { closeConnection() }
            return
        }
        if streams.hasEnded {
            finish(result(streams), keepsConnection: goesOn && streams.canServe)
        } else if streams.isBroken || !goesOn || streams.isOver {
            finish(.network, keepsConnection: false)
        }
    }

    private func result(_ streams: CheckStreams) -> CheckResult {
        if case .http(let check) = cluster.settings.kind {
            return check.judge(status: streams.status, body: streams.body) { streams.fields[$0] }
        }
        guard streams.status == 200, streams.fields["content-type"]?.hasPrefix("application/grpc") ?? false else {
            return .failed
        }
        let code = streams.trailers["grpc-status"] ?? streams.fields["grpc-status"]
        guard code == "0", HealthMessage.isServing(streams.body) else { return .failed }
        return .healthy
    }

    /// The connection failed or ended.
    func ended(_ connection: CheckConnection) {
        guard connection === self.connection else { return }
        let isAnswer: Bool
        if case .http(let check) = cluster.settings.kind, !check.isHTTP2 {
            isAnswer = isRunning && answer.isCompleteAtEnd
        } else {
            isAnswer = false
        }
        if isAnswer, case .http(let check) = cluster.settings.kind {
            judge(check, keepsConnection: false)
        } else if isRunning {
            finish(.network, keepsConnection: false)
        } else {
            closeConnection()
        }
    }

    // MARK: Its result

    private func finish(_ result: CheckResult, keepsConnection: Bool, isTimeout: Bool = false) {
        guard isRunning else { return }
        isRunning = false
        if !keepsConnection || !cluster.settings.reusesConnection { closeConnection() }
        let transition = take(result, isTimeout: isTimeout)
        guard let timer else { return }
        let wait = cluster.settings.intervals.wait(
            after: transition,
            isHealthy: result.isSuccess,
            hasTraffic: cluster.hasTraffic,
            random: cluster.random()
        )
        cluster.loop.setTimer(timer, Instant.read().advanced(byNanoseconds: max(1_000_000, wait)))
    }

    /// An answer to a request asked for the endpoint to be left out.
    func failPassively() {
        guard judge.state.isUsable else { return }
        _ = take(.passive, isTimeout: false)
    }

    private func take(_ result: CheckResult, isTimeout: Bool) -> HealthJudge.Transition {
        let before = judge
        let transition = judge.judge(
            result,
            healthyThreshold: cluster.settings.healthyThreshold,
            unhealthyThreshold: cluster.settings.unhealthyThreshold
        )
        cluster.took(self, result, before: before, transition: transition, isTimeout: isTimeout)
        return transition
    }
}

/// The two messages of `grpc.health.v1.Health/Check`, with gRPC's prefix of five bytes.
enum HealthMessage {
    static func request(_ service: String) -> [UInt8] {
        var message: [UInt8] = []
        if !service.isEmpty {
            let name = Array(service.utf8)
            message.append(0x0A)
            var length = name.count
            while length >= 0x80 {
                message.append(UInt8(length & 0x7F) | 0x80)
                length >>= 7
            }
            message.append(UInt8(length))
            message += name
        }
        let count = UInt32(message.count)
        return [0, UInt8(count >> 24), UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)] + message
    }

    /// Whether the answer's status (field 1) is SERVING; fields unknown here are not expected in front of it.
    static func isServing(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 7, bytes[0] == 0 else { return false }
        return bytes[5] == 0x08 && bytes[6] == 1
    }
}
