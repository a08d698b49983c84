import Traffic

/// Names of headers whose bytes stay in place as long as this object lives.
final class HeaderNameRuns: Sendable {
    let runs: [ByteRun]
    private let arena: Arena

    init(_ names: [String]) {
        let arena = Arena()
        runs = names.map { arena.copy($0) }
        self.arena = arena
    }
}

/// The compiled form of an access log's line or of a header's value: literals and command operators in order.
struct AccessLogFormat: Sendable, Equatable {
    enum Operator: Sendable, Equatable {
        case literal(String)
        case field(LogField)
        /// With a pattern as strftime has it; `isEnd`: the time when the entry is written.
        case time(String?, isLocal: Bool, isEnd: Bool)
        case commonDuration(from: TimePoint, to: TimePoint, TimeUnit)
        case header(Origin, HeaderPick)
        case grpcStatus(GRPCFormat)
        /// A parameter of the request's query; all of them without a name.
        case query(String?, limit: Int?)
        case path(withQuery: Bool, original: Bool, limit: Int?)
        /// The bytes of a `SpanRecord`: of no text.
        case span
        /// Never has a value here.
        case nothing
    }

    enum Origin: Int, Sendable, Equatable { case request, response, trailer }

    /// A header by its name in lower case: the second one is used when the first is missing.
    struct HeaderPick: Sendable, Equatable {
        var name: String
        var alternative: String?
        var limit: Int?
    }

    enum TimePoint: String, Sendable { case start, requestEnd, lastTry, responseStart, end }
    enum TimeUnit: String, Sendable { case milliseconds = "ms", microseconds = "us", nanoseconds = "ns" }
    enum GRPCFormat: String, Sendable { case camel = "CAMEL_STRING", snake = "SNAKE_STRING", number = "NUMBER" }

    /// A JSON document whose texts hold operators.
    indirect enum Node: Sendable, Equatable {
        case object([Member])
        case array([Node])
        /// A text that is one numeric operator gives a number.
        case text([Operator])
        /// As it is, in JSON.
        case constant(String)
    }

    struct Member: Sendable, Equatable {
        var name: String
        var node: Node
    }

    enum Style: Sendable, Equatable {
        case text([Operator])
        /// One JSON object per line.
        case json(Node)
    }

    let style: Style
    /// What has no value is left out, instead of `-` or null.
    let omitsEmpty: Bool
    /// The headers that the operators name: what a worker copies into its ring, in the order of `Origin`.
    let names: [[String]]
    /// The same names as runs, for the worker's look-up.
    let nameRuns: [HeaderNameRuns]
    /// The other texts that the operators want; by `LogText.rawValue` their places, or -1.
    let texts: [LogText]
    let textPlaces: [Int]
    /// Whether heads, trailers or sockets have to be kept for it while a request is in work.
    let needs: Needs

    struct Needs: OptionSet, Sendable {
        let rawValue: Int
        static let request = Needs(rawValue: 1)
        static let response = Needs(rawValue: 2)
        static let upstreamSocket = Needs(rawValue: 4)
    }

    static func == (left: AccessLogFormat, right: AccessLogFormat) -> Bool {
        left.style == right.style && left.omitsEmpty == right.omitsEmpty
    }

    init(_ style: Style, omitsEmpty: Bool = false) {
        self.style = style
        self.omitsEmpty = omitsEmpty
        var collector = Collector()
        switch style {
        case .text(let parts): collector.add(parts)
        case .json(let node): collector.add(node)
        }
        names = collector.names
        nameRuns = collector.names.map { HeaderNameRuns($0) }
        texts = collector.texts
        var places = [Int](repeating: -1, count: LogText.allCases.count)
        for (index, text) in collector.texts.enumerated() { places[text.rawValue] = index }
        textPlaces = places
        needs = collector.needs
    }

    var headerCount: Int { names.reduce(0) { $0 + $1.count } }
    var isJSON: Bool { if case .json = style { true } else { false } }

    /// Envoy's default line.
    static let standardText =
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
        + "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
        + "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
        + "\"%UPSTREAM_HOST%\"\n"
}

/// Gathers what the operators of a format read.
private struct Collector {
    var names: [[String]] = [[], [], []]
    var texts: [LogText] = []
    var needs: AccessLogFormat.Needs = []

    mutating func add(_ node: AccessLogFormat.Node) {
        switch node {
        case .object(let members): for member in members { add(member.node) }
        case .array(let nodes): for node in nodes { add(node) }
        case .text(let parts): add(parts)
        case .constant: break
        }
    }

    mutating func add(_ parts: [AccessLogFormat.Operator]) {
        for part in parts {
            switch part {
            case .header(let origin, let pick):
                add(pick.name, origin)
                if let other = pick.alternative { add(other, origin) }
                needs.insert(origin == .request ? .request : .response)
            case .field(let field): add(field)
            case .grpcStatus:
                add("grpc-status", .response)
                add("grpc-status", .trailer)
                needs.formUnion([.request, .response])
            case .query: add(text: .path)
            case .span: add(text: .span)
            case .path:
                add(text: .path)
                add("x-envoy-original-path", .request)
            case .literal, .time, .commonDuration, .nothing: break
            }
        }
    }

    private mutating func add(_ field: LogField) {
        if let text = field.text { add(text: text) }
        switch field {
        case .grpcStatusNumber, .responseHeadersBytes, .responseTrailersBytes: needs.formUnion([.request, .response])
        case .requestHeadersBytes: needs.insert(.request)
        case .upstreamLocalAddress, .upstreamLocalAddressWithoutPort, .upstreamLocalPort: needs.insert(.upstreamSocket)
        default: break
        }
    }

    private mutating func add(text: LogText) {
        if !texts.contains(text) { texts.append(text) }
        switch text {
        case .method, .authority, .path, .scheme, .requestID: needs.insert(.request)
        default: break
        }
    }

    private mutating func add(_ name: String, _ origin: AccessLogFormat.Origin) {
        switch (origin, name) {
        case (.request, ":method"): add(text: .method)
        case (.request, ":authority"), (.request, "host"): add(text: .authority)
        case (.request, ":path"): add(text: .path)
        case (.request, ":scheme"): add(text: .scheme)
        case _ where name.hasPrefix(":"): break
        default: if !names[origin.rawValue].contains(name) { names[origin.rawValue].append(name) }
        }
    }
}

/// A command operator that cannot be used; the text names it.
struct AccessLogFormatError: Error, Equatable {
    let message: String
}
