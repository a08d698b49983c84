import Bytes
import CWeft
import Reactor
import TLS

/// Tells HTTP from other protocols by a connection's first bytes, without ever making a server that speaks first wait.
extension Worker {
    /// What the first bytes can be.
    enum FirstBytes { case http10, http11, http2, other, undecided }

    func startDetection(_ index: Int32, _ place: DownstreamPlace, _ configuration: ListenerConfiguration) {
        place.pointee.state = .detecting
        place.pointee.since = now
        detecting[place.pointee.id] = configuration
        armDownstream(index, place)
        if !place.pointee.input.isEmpty { detect(index, place) }
    }

    /// Bytes came while the protocol is not known.
    func detect(_ index: Int32, _ place: DownstreamPlace) {
        guard let bytes = place.pointee.input.bytes, let configuration = detecting[place.pointee.id] else { return }
        if configuration.needsTLSInspection {
            switch ClientHello.read(UnsafeRawBufferPointer(start: bytes, count: place.pointee.input.count)) {
            case .incomplete: return
            case .hello(let hello):
                decide(index, place, .unknown, hello)
                return
            case .malformed:
                // Never a weaker chain for what cannot be read.
                metrics.count(.tlsHandshakeFailures)
                closeDownstream(index, place, flags: .downstreamTermination)
                return
            case .notTLS:
                guard configuration.needsApplicationProtocol else {
                    decide(index, place, .unknown)
                    return
                }
            }
        }
        switch Self.classify(bytes, place.pointee.input.count) {
        case .undecided: return
        case .http10: decide(index, place, .http10)
        case .http11: decide(index, place, .http11)
        case .http2: decide(index, place, .http2)
        case .other: decide(index, place, .unknown)
        }
    }

    /// The protocol is known: the connection goes to its chain.
    private func decide(
        _ index: Int32,
        _ place: DownstreamPlace,
        _ found: ApplicationProtocol,
        _ hello: ClientHello? = nil
    ) {
        guard let configuration = detecting.removeValue(forKey: place.pointee.id) else {
            closeDownstream(index, place, flags: [])
            return
        }
        metrics.count(found == .unknown ? .detectedOther : .detectedHTTP)
        var facts = facts(place)
        facts.application = found
        facts.hello = hello
        if let name = hello?.serverName { note(place) { $0.serverName = name } }
        let chain = configuration.chain(for: facts)
        guard place.pointee.flags.contains(.isSpeculating) else {
            serve(index, place, chain, of: configuration)
            return
        }
        place.pointee.flags.remove(.isSpeculating)
        if let chain, case .tcp = chain.filter, chain.tls == nil, isSpeculated(place, chain) {
            guard takePlaces(index, place, chain), admit(index, place, chain) else { return }
            commitSpeculation(index, place)
        } else {
            abandonSpeculation(place)
            serve(index, place, chain, of: configuration)
        }
    }

    /// Whether the endpoint that was dialled on suspicion is that of the chain.
    private func isSpeculated(_ place: DownstreamPlace, _ chain: FilterChainConfiguration?) -> Bool {
        guard case .tcp(let tcp) = chain?.filter, place.pointee.exchange >= 0 else { return true }
        return exchanges.pointer(place.pointee.exchange).pointee.tcp?.takeUnretainedValue() === tcp
    }

    /// Nobody spoke for a while: the TCP chain's endpoint is dialled, and whoever speaks first decides.
    func speculate(_ index: Int32, _ place: DownstreamPlace) {
        place.pointee.flags.insert(.isQuietOver)
        guard let configuration = detecting[place.pointee.id],
            let chain = configuration.chainWithoutProtocol(for: facts(place)), case .tcp(let tcp) = chain.filter,
            chain.tls == nil, tcp.connectHead.isEmpty, isAdmitted(place, chain, counts: false)
        else {
            armDownstream(index, place)
            return
        }
        place.pointee.flags.insert(.isSpeculating)
        startTunnel(index, place, tcp, speculates: true)
    }

    /// The endpoint spoke first: it is no HTTP.
    func endpointSpokeFirst(_ index: Int32, _ place: DownstreamPlace) {
        let chain = detecting.removeValue(forKey: place.pointee.id)?.chainWithoutProtocol(for: facts(place))
        metrics.count(.detectedOther)
        place.pointee.flags.remove(.isSpeculating)
        if let chain {
            guard takePlaces(index, place, chain), admit(index, place, chain) else { return }
        }
        commitSpeculation(index, place)
    }

    /// The time for detection is over.
    func detectionTimedOut(_ index: Int32, _ place: DownstreamPlace) {
        guard let configuration = detecting[place.pointee.id] else { return }
        metrics.count(.detectionTimeouts)
        tallyListener(place) { $0.undecidedTimeouts &+= 1 }
        if configuration.settings.continuesOnFiltersTimeout {
            decide(index, place, .unknown)
        } else {
            detecting[place.pointee.id] = nil
            closeDownstream(index, place, flags: [])
        }
    }

    /// When detection wants to be looked at again.
    func detectionDeadline(_ place: DownstreamPlace) -> UInt64 {
        guard let settings = detecting[place.pointee.id]?.settings else { return .max }
        let since = place.pointee.since
        let end = settings.filtersTimeout > 0 ? since &+ settings.filtersTimeout : .max
        return place.pointee.flags.contains(.isQuietOver) ? end : min(end, since &+ Limits.quietTime)
    }

    /// A request line, or what can still become one: a token in capitals, a space, a target.
    static func classify(_ bytes: UnsafeRawPointer, _ count: Int) -> FirstBytes {
        let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        let common = min(count, preface.utf8CodeUnitCount)
        if cweft_same(bytes, preface.utf8Start, common) != 0 {
            if common == preface.utf8CodeUnitCount { return .http2 }
            if common > 1 { return .undecided }
        }
        var start = 0
        // Empty lines may precede a request (RFC 9112 section 2.2).
        while start < 4, start < count, isLineEnd(bytes, start) { start += 1 }
        let method = cweft_scan_token(bytes + start, count - start)
        guard method <= 20 else { return .other }
        for offset in 0..<method {
            let byte = bytes.load(fromByteOffset: start + offset, as: UInt8.self)
            guard byte >= 0x41 && byte <= 0x5A || byte == 0x2D || byte == 0x5F else { return .other }
        }
        guard start + method < count else { return .undecided }
        guard method > 0, bytes.load(fromByteOffset: start + method, as: UInt8.self) == 0x20 else { return .other }
        let target = start + method + 1
        let length = cweft_scan_visible(bytes + target, count - target)
        guard target + length < count else { return length > 8192 ? .other : .undecided }
        guard length > 0, bytes.load(fromByteOffset: target + length, as: UInt8.self) == 0x20 else { return .other }
        let version: StaticString = "HTTP/1."
        let have = min(7, count - target - length - 1)
        guard cweft_same(bytes + target + length + 1, version.utf8Start, have) != 0 else { return .other }
        guard target + length + 8 < count else { return .undecided }
        return bytes.load(fromByteOffset: target + length + 8, as: UInt8.self) == 0x30 ? .http10 : .http11
    }

    private static func isLineEnd(_ bytes: UnsafeRawPointer, _ index: Int) -> Bool {
        let byte = bytes.load(fromByteOffset: index, as: UInt8.self)
        return byte == 13 || byte == 10
    }
}
