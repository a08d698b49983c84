import Traffic

/// A snapshot that streams of this worker may still read, with their number.
///
/// Safety: made by a worker, touched by its thread only, freed when the worker uses a newer snapshot and `users` is 0.
struct SnapshotHolder {
    let snapshot: Snapshot
    /// The snapshot's route tables, readable without touching a reference count.
    let views: Unmanaged<RouteViews>
    var users = 0
    var isCurrent = true

    init(_ snapshot: Snapshot) {
        self.snapshot = snapshot
        // Safety: the snapshot beside it holds the object.
        views = .passUnretained(snapshot.routeViews)
    }
}

typealias SnapshotPlace = UnsafeMutablePointer<SnapshotHolder>

/// What a worker keeps of one HTTP chain: the hot settings as plain values, and the snapshot its routes stand in.
///
/// Safety: owned by one worker; freed when no connection uses it and no snapshot names it.
struct ChainState {
    let configuration: HTTPChainConfiguration
    var holder: SnapshotPlace
    var users = 0
    /// False: the listener changed; its connections close with their next answer.
    var isCurrent = true
    let routeTable: Int32
    let limits: HeadLimitsCopy
    let idleTimeout: UInt64
    let streamIdleTimeout: UInt64
    let headersTimeout: UInt64
    let requestTimeout: UInt64
    let maxStreamDuration: UInt64
    let maxConnectionDuration: UInt64
    let maxRequests: UInt32
    /// Shared by the chains of one `stat_prefix`; lives as long as the worker.
    let numbers: AnswerPlace
    let tally: UnsafeMutablePointer<ClientTally>
    /// The filters before the router; owned by `configuration`.
    let steps: ArenaArray<FilterStep>
    let hasFilters: Bool
    /// The answer phase of a filter looks at the request's head.
    let remembersRequest: Bool
    /// Heads are kept: for logs, spans, replies or taps.
    var logs: Bool
    /// The same without taps.
    let logsUntapped: Bool
    /// Somebody wants to be told of its requests.
    var isTapped = false
    /// Requests have spans.
    let traces: Bool
    /// The proxy's own answers are changed.
    let mapsReplies: Bool
    let tellsProxyStatus: Bool
    /// Some log wants the response's head and trailers.
    var logsResponseHeaders: Bool
    let logsResponseHeadersUntapped: Bool
    /// Some log wants the address from which the endpoint was dialled.
    let logsUpstreamSocket: Bool
    let generatesRequestID: Bool
    let keepsRequestID: Bool
    let usesRemoteAddress: Bool
    let trustedHops: UInt32
    let isHTTPS: Bool?
    let schemeFollowsEndpoint: Bool
    let logsStarts: Bool
    let logsTunnels: Bool
    /// The client's address is found by rules of its own.
    let findsClient: Bool
    let appendsForwardedFor: Bool
    let normalizesPath: Bool
    let mergesSlashes: Bool
    let escapedSlashes: HTTPChainConfiguration.EscapedSlashes
    let stripsPort: HTTPChainConfiguration.StripPort
    let stripsDot: Bool
    /// The host is changed before it is looked at.
    let tidiesHost: Bool
    let appendsForwardedPort: Bool
    let suppressesEnvoyFields: Bool
    let repeatsRequestID: Bool
    let allowsWebSocket: Bool
    let allowsConnect: Bool
    let acceptsHTTP10: Bool
    let defaultHost: ByteRun
    /// Some clients are of the house.
    let knowsHouse: Bool
    let serverHeader: HTTPChainConfiguration.ServerHeader
    let clientCertificate: HTTPChainConfiguration.ClientCertificate.Mode
    let serverName: ByteRun
    let via: ByteRun
    let delayedCloseTimeout: UInt64
    let codec: HTTPChainConfiguration.Codec
    let http2: HTTP2Options
    /// Owns the bytes of the runs above.
    private let arena: Arena

    init(
        _ configuration: HTTPChainConfiguration,
        holder: SnapshotPlace,
        numbers: AnswerPlace,
        tally: UnsafeMutablePointer<ClientTally>
    ) {
        self.numbers = numbers
        self.tally = tally
        let settings = configuration.settings
        let snapshot = holder.pointee.snapshot
        self.configuration = configuration
        self.holder = holder
        arena = Arena()
        routeTable = settings.routeTable
        limits = HeadLimitsCopy(
            bytes: settings.maxRequestHeaderBytes,
            fields: settings.maxHeaderCount,
            rejectsUnderscores: settings.rejectsUnderscoreNames
        )
        idleTimeout = settings.idleTimeout
        streamIdleTimeout = settings.streamIdleTimeout
        headersTimeout = settings.requestHeadersTimeout
        requestTimeout = settings.requestTimeout
        maxStreamDuration = settings.maxStreamDuration
        maxConnectionDuration = settings.maxConnectionDuration
        maxRequests = settings.maxRequestsPerConnection
        steps = arena.copy(settings.filters?.steps ?? [])
        hasFilters = settings.filters != nil
        remembersRequest = settings.filters?.steps.contains { $0.parts.contains(.remembersRequest) } ?? false
        traces = settings.tracing != nil
        logs = !settings.accessLogs.isEmpty || settings.tracing != nil || settings.localReplies?.needsRequest ?? false
        logsUntapped = logs
        tellsProxyStatus = settings.proxyStatus != nil
        mapsReplies = settings.localReplies != nil
        let needs = (settings.accessLogs + (settings.tracing?.logs ?? [])).reduce(into: AccessLogFormat.Needs()) {
            needs,
            index in
            guard snapshot.accessLogs.indices.contains(Int(index)) else { return }
            needs.formUnion(snapshot.accessLogs[Int(index)].needs)
        }
        logsResponseHeaders = needs.contains(.response)
        logsResponseHeadersUntapped = logsResponseHeaders
        logsUpstreamSocket = needs.contains(.upstreamSocket)
        generatesRequestID = settings.generatesRequestID
        keepsRequestID = settings.keepsExternalRequestID || !settings.usesRemoteAddress
        usesRemoteAddress = settings.usesRemoteAddress
        trustedHops = settings.trustedHops
        isHTTPS = settings.isHTTPS
        schemeFollowsEndpoint = settings.schemeFollowsEndpoint
        logsStarts = settings.logsStarts
        logsTunnels = settings.logsTunnels
        findsClient = settings.clientAddress != nil
        appendsForwardedFor = settings.appendsForwardedFor
        normalizesPath = settings.normalizesPath
        mergesSlashes = settings.mergesSlashes
        escapedSlashes = settings.escapedSlashes
        stripsPort = settings.stripsPort
        stripsDot = settings.stripsTrailingHostDot
        tidiesHost = settings.stripsTrailingHostDot || settings.stripsPort != .never
        appendsForwardedPort = settings.appendsForwardedPort
        suppressesEnvoyFields = !settings.addsUpstreamTime
        repeatsRequestID = settings.setsRequestIDInResponse
        allowsWebSocket = settings.allowsWebSocket
        allowsConnect = settings.allowsConnect
        acceptsHTTP10 = settings.acceptsHTTP10
        defaultHost = arena.copy(settings.defaultHost)
        knowsHouse = !settings.internalNetworks.isEmpty
        serverHeader = settings.serverHeader
        clientCertificate = settings.clientCertificate.mode
        serverName = arena.copy(settings.serverName)
        via = arena.copy(settings.via)
        delayedCloseTimeout = settings.delayedCloseTimeout
        codec = settings.codec
        http2 = settings.http2
    }
}

typealias ChainPlace = UnsafeMutablePointer<ChainState>

/// Plain copies of a chain's bounds.
struct HeadLimitsCopy: BitwiseCopyable {
    var bytes: Int
    var fields: Int
    var rejectsUnderscores: Bool
}
