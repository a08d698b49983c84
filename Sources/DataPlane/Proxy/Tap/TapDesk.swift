import Bytes
import EnvoyAPI
import Glibc
import Reactor
import Synchronization
import Telemetry
import Traffic
import Wire

/// The taps that are open: lets consumers in, tells the workers, and hands on what comes. On the main thread.
final class TapDesk {
    /// Consumers at the same time.
    static let mostTaps = 8
    /// Requests in a second that a consumer may ask for, and those that it gets when it does not say.
    static let mostRate = 10_000
    static let standardRate = 100
    private static let largestToken = 4096

    private struct Consumer {
        let tap: Tap
        let stream: AdminStream
        let writer: TapText
    }

    private unowned let process: ProxyProcess
    private let tokenPath: String?
    private let redaction: TapRedaction
    private var consumers: [UInt64: Consumer] = [:]
    private var nextNumber: UInt64 = 1
    private(set) var counts = Counts()

    struct Counts {
        var opened: UInt64 = 0
        var refused: UInt64 = 0
        var pieces: UInt64 = 0
        /// Lost by the rate, by the queues of workers, by consumers that read too slowly.
        var overRate: UInt64 = 0
        var overQueue: UInt64 = 0
        var overConsumer: UInt64 = 0
    }

    init(process: ProxyProcess, options: ProxyOptions) {
        self.process = process
        tokenPath = options.tapTokenPath
        redaction = options.tapRedaction.map { TapRedaction(fields: $0) } ?? TapRedaction()
    }

    var active: Int { consumers.count }

    /// With what the open taps have dropped so far.
    var totals: Counts {
        consumers.values.reduce(into: counts) { counts, consumer in
            counts.overRate += UInt64(consumer.tap.dropped.rate)
            counts.overQueue += UInt64(consumer.tap.dropped.queue)
        }
    }

    /// The token of the file, or why there is none.
    static func token(_ path: String) -> Result<[UInt8], StartError> {
        switch FileBytes.read(path, limit: largestToken) {
        case .failure(let failure): return .failure(StartError(message: "--tap-token-file: \(failure.message)"))
        case .success(let bytes):
            let text = bytes.drop { $0 <= 0x20 }
            let end = text.lastIndex { $0 > 0x20 }.map { $0 + 1 } ?? text.startIndex
            guard end - text.startIndex >= 16 else {
                return .failure(
                    StartError(
                        message: "--tap-token-file: \(path) holds fewer than 16 bytes; a token is not to be guessed"
                    )
                )
            }
            return .success(Array(text[..<end]))
        }
    }

    // MARK: Opening

    func open(_ request: AdminRequest, _ reply: @escaping (AdminResponse) -> Void) {
        func refuse(_ status: UInt16, _ text: String) {
            counts.refused += 1
            reply(AdminResponse(status: status, text: text + "\n"))
        }
        let token = tokenPath.flatMap { try? Self.token($0).get() }
        if let why = request.access.refusal(own: geteuid(), token: token) {
            refuse(403, why)
            return
        }
        let made: (wish: Tap.Wish, writer: TapText, arena: Arena)
        do throws(StartError) {
            made = try wish(request)
        } catch {
            refuse(400, error.message)
            return
        }
        let used = Set(consumers.values.map(\.tap.slot))
        guard
            let slot = (0..<Self.mostTaps).map({ (Int(nextNumber) + $0) % Self.mostTaps }).first(where: {
                !used.contains($0)
            })
        else {
            refuse(503, "\(Self.mostTaps) taps are open, more are not allowed; end one of them")
            return
        }
        let tap = Tap(number: nextNumber, slot: slot, wish: made.wish, arena: made.arena)
        nextNumber += 1
        counts.opened += 1
        tap.setLabels(process.store.snapshot.labels)
        let stream = AdminStream { [weak self] in self?.close(tap.number) }
        consumers[tap.number] = Consumer(tap: tap, stream: stream, writer: made.writer)
        tellWorkers()
        var response = AdminResponse(contentType: made.writer.contentType, body: [])
        response.stream = stream
        reply(response)
    }

    private func close(_ number: UInt64) {
        guard let consumer = consumers.removeValue(forKey: number) else { return }
        counts.overRate += UInt64(consumer.tap.dropped.rate)
        counts.overQueue += UInt64(consumer.tap.dropped.queue)
        tellWorkers()
    }

    private func tellWorkers() { process.workers.send(.tap(consumers.values.map(\.tap))) }

    /// The label sets may be other ones than before.
    func labelsChanged(_ labels: [LabelSet]) {
        for consumer in consumers.values { consumer.tap.setLabels(labels) }
    }

    /// Ends all of them.
    func shutdown() {
        for consumer in consumers.values { consumer.stream.finish() }
    }

    // MARK: Handing on

    func take(_ number: UInt64) {
        guard let consumer = consumers[number] else { return }
        let labels = process.store.snapshot.labels
        for piece in consumer.tap.takeAll() {
            let bytes = consumer.writer.bytes(piece, labels)
            guard !bytes.isEmpty else { continue }
            if consumer.stream.write(bytes) { counts.pieces += 1 } else { counts.overConsumer += 1 }
        }
    }

    // MARK: What is asked

    private func wish(
        _ request: AdminRequest
    ) throws(StartError) -> (wish: Tap.Wish, writer: TapText, arena: Arena) {
        let message = try Self.message(request.body)
        var wish = Tap.Wish()
        wish.configID = message.configId
        let points = Self.points(process.store.snapshot).filter { $0.id == wish.configID }
        guard wish.configID == Tap.everything || !points.isEmpty else {
            throw StartError(
                message: "Unknown config id '\(wish.configID)'. No extension has registered with this id; "
                    + "\"\(Tap.everything)\" is the one of all listeners"
            )
        }
        guard let config = message.tapConfig, let output = config.outputConfig, let sink = output.sinks.first else {
            throw StartError(message: "tap_config.output_config.sinks is required")
        }
        guard output.sinks.count == 1 else {
            throw StartError(message: "tap_config.output_config.sinks: one sink is expected")
        }
        guard [.jsonBodyAsBytes, .jsonBodyAsString].contains(sink.format) else {
            throw StartError(
                message: "tap_config.output_config.sinks[0].format: a tap is told of in JSON: "
                    + "JSON_BODY_AS_BYTES or JSON_BODY_AS_STRING"
            )
        }
        let compiler = TapCompiler(process.store.context)
        wish.predicate = try compiler.predicate(config)
        if let enabled = config.tapEnabled { wish.share = compiler.share(enabled) }
        wish.isStreaming = output.streaming
        wish.rate = try Self.rate(request.parameter("max_rps"))
        try Self.scope(request, &wish.scope)
        let redaction = redaction.adding(TapRedaction.names(request.parameter("redact") ?? ""))
        let form: TapText.Form
        switch request.parameter("format") ?? "envoy" {
        case "envoy": form = .envoy(asString: sink.format == .jsonBodyAsString)
        case "lines": form = .lines
        case let other: throw StartError(message: "format must be envoy or lines, not \"\(other)\"")
        }
        let writer = TapText(
            form: form,
            redaction: redaction,
            isStreaming: wish.isStreaming,
            recordsTimes: points.contains(where: \.recordsTimes),
            recordsConnection: points.contains(where: \.recordsConnection)
        )
        return (wish, writer, compiler.arena)
    }

    private static func message(_ body: [UInt8]) throws(StartError) -> Envoy.TapRequest {
        let value: Value
        do throws(ConfigurationProblems) {
            value = try ConfigurationStore.document(body)
        } catch { throw StartError(message: error.lines.joined(separator: "\n")) }
        do throws(SchemaErrors) {
            var warnings: [SchemaProblem] = []
            return try Envoy.TapRequest.read(value, warnings: &warnings)
        } catch { throw StartError(message: error.problems.map(\.description).joined(separator: "\n")) }
    }

    private static func points(_ snapshot: Snapshot) -> [TapPoint] {
        snapshot.listeners.compactMap { $0 }.flatMap { listener -> [TapPoint] in
            (listener.chains + [listener.defaultChain].compactMap { $0 }).flatMap { chain -> [TapPoint] in
                guard case .http(let configuration) = chain.filter else { return [] }
                return configuration.settings.taps
            }
        }
    }

    private static func rate(_ text: String?) throws(StartError) -> Int {
        guard let text else { return standardRate }
        guard let rate = Int(text), (1...mostRate).contains(rate) else {
            throw StartError(message: "max_rps must be a number from 1 to \(mostRate), not \"\(text)\"")
        }
        return rate
    }

    /// `from=deployment=web,namespace=shop`, `to=...`; `from_address=10.0.0.1,10.0.0.2`, `to_address=...`.
    private static func scope(_ request: AdminRequest, _ scope: inout TapScope) throws(StartError) {
        func labels(_ name: String) throws(StartError) -> [(name: String, value: String)] {
            var labels: [(name: String, value: String)] = []
            for pair in (request.parameter(name) ?? "").split(separator: ",") {
                let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard sides.count == 2, !sides[0].isEmpty else {
                    throw StartError(message: "\(name): LABEL=VALUE is expected, not \"\(pair)\"")
                }
                labels.append((String(sides[0]), String(sides[1])))
            }
            return labels
        }
        func addresses(_ name: String) throws(StartError) -> Set<IPKey> {
            var keys: Set<IPKey> = []
            for text in (request.parameter(name) ?? "").split(separator: ",") {
                guard let address = SocketAddress(String(text), port: 0) else {
                    throw StartError(message: "\(name): \"\(text)\" is no address")
                }
                keys.insert(IPKey(address))
            }
            return keys
        }
        scope.from = try labels("from")
        scope.to = try labels("to")
        scope.fromAddresses = try addresses("from_address")
        scope.toAddresses = try addresses("to_address")
    }
}

/// Compiles what a tap wants to see.
struct TapCompiler {
    private let context: CompileContext
    private let matches: RouteCompiler

    /// More parts of a predicate than this are no wish but an attack.
    private static let mostParts = 256

    init(_ context: CompileContext) {
        self.context = context
        context.reset()
        matches = RouteCompiler(Envoy.RouteConfiguration(), context)
    }

    var arena: Arena { matches.builder.arena }

    func predicate(_ config: Envoy.TapConfig) throws(StartError) -> TapPredicate {
        guard let match = config.match ?? config.matchConfig else {
            throw StartError(message: "tap_config.match is required: any_match: true is everything")
        }
        var left = Self.mostParts
        let made = context.at("tap_config.match") { predicate(match, &left) }
        if left < 0 { context.report("tap_config.match: more than \(Self.mostParts) parts") }
        guard context.isSound else { throw StartError(message: context.problems.joined(separator: "\n")) }
        return made
    }

    private func predicate(_ match: Envoy.TapMatch, _ left: inout Int) -> TapPredicate {
        left -= 1
        guard left >= 0 else { return .never }
        switch match.rule {
        case .orMatch(let set): return .oneOf(parts("or_match.rules", set, &left))
        case .andMatch(let set): return .all(parts("and_match.rules", set, &left))
        case .notMatch(let inner): return .not(context.at("not_match") { predicate(inner, &left) })
        case .anyMatch: return .any
        case .requestHeaders(let headers): return .request(fields("http_request_headers_match", headers))
        case .responseHeaders(let headers):
            return .response(
                fields("http_response_headers_match", headers).map { match in
                    var match = match
                    if match.name.equals(Worker.run(":status")) { match.target = .method }
                    return match
                }
            )
        case .responseTrailers(let headers): return .trailers(fields("http_response_trailers_match", headers))
        case nil: return .never
        }
    }

    private func parts(_ step: String, _ set: Envoy.TapMatchSet, _ left: inout Int) -> [TapPredicate] {
        var parts: [TapPredicate] = []
        for (index, rule) in set.rules.enumerated() {
            parts.append(context.at("\(step)[\(index)]") { predicate(rule, &left) })
        }
        return parts
    }

    private func fields(_ step: String, _ headers: Envoy.TapHeaders) -> [HeaderMatch] {
        context.each("\(step).headers", headers.headers) { matches.header($0) }
    }

    func share(_ message: Envoy.RuntimeFractionalPercent) -> UInt32 { matches.share(message) }
}
