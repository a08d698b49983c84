import Bytes
import HTTP
import Reactor
import Traffic

/// `stateful_session`: the requests of a session go to the endpoint that answered its first one.
extension Worker {
    func followSession(_ chain: SessionSettings, _ step: FilterStep, _ pass: FilterPass) -> FilterVerdict {
        let settings = self.settings(pass.exchange, step, .session, SessionSettings.self) ?? chain
        guard !settings.isDisabled else { return .next }
        let view = pass.facts.view
        var state = SessionState(address: nil, settings: .passUnretained(settings), isKnown: true)
        switch settings.kind {
        case .none: state.isKnown = false
        case .header(let name):
            let value = name.withUnsafeBytes { view.value(of: ByteRun($0)) }
            state.address = value.flatMap { SessionText.address(field: Array($0.buffer)) }.flatMap(Self.socketAddress)
        case .cookie(let name, let path, _):
            guard path.withUnsafeBytes({ SessionText.matches(view.path, cookiePath: ByteRun($0)) }) else {
                state.isKnown = false
                break
            }
            let seconds = (now &+ wallOffset) / 1_000_000_000
            let value = FieldText.values(Self.run("cookie"), view).lazy.flatMap { CookieText.values($0, named: name) }
                .first
            state.address = value.flatMap { SessionText.address(cookie: $0, now: seconds) }.flatMap(Self.socketAddress)
        }
        setState(pass.exchange, pass.step, .session(state))
        if let address = state.address {
            extras(pass.exchange).pointee.session = SessionWish(address: address, isStrict: settings.isStrict)
        }
        return .next
    }

    /// `1.2.3.4:80` or `[::1]:80`.
    private static func socketAddress(_ text: [UInt8]) -> SocketAddress? {
        guard let colon = text.lastIndex(of: 0x3A),
            let port = UInt16(String(decoding: text[(colon + 1)...], as: UTF8.self))
        else { return nil }
        var host = text[..<colon]
        if host.first == 0x5B, host.last == 0x5D { host = host.dropFirst().dropLast() }
        return SocketAddress(String(decoding: host, as: UTF8.self), port: port)
    }

    /// The endpoint that the request's session wants: nil where there is no such wish, -1 where it cannot be met.
    func sessionSlot(_ exchange: ExchangePlace, _ cluster: ClusterPlace) -> Int32? {
        guard exchange.pointee.retries == 0, let wish = exchange.pointee.extras?.pointee.session else { return nil }
        for (slot, target) in cluster.pointee.targets.enumerated() where target.address == wish.address {
            let state = cluster.pointee.set[Int32(slot)]
            if state.isPresent, state.isHealthy, !state.isEjected, state.check.isUsable { return Int32(slot) }
        }
        return wish.isStrict ? -1 : nil
    }

    /// Tells the client of its endpoint, where that is another one than before.
    func tellSession(_ pass: inout AnswerPass) {
        guard case .session(let state) = state(pass.exchange, pass.step) else { return }
        let settings = state.settings.takeUnretainedValue()
        let address = pass.exchange.pointee.upstreamAddress
        guard !pass.isLocal, address.family != 0 else {
            if settings.isStrict, state.address != nil, pass.exchange.pointee.responseFlags.contains(.noHealthyUpstream)
            {
                countFilter(settings.failedClosed)
            }
            return
        }
        guard state.isKnown else {
            countFilter(settings.noSession)
            return
        }
        guard address != state.address else {
            countFilter(settings.routed)
            return
        }
        if !settings.isStrict { countFilter(settings.failedOpen) }
        let text = Self.text(of: address, self)
        switch settings.kind {
        case .header(let name): pass.edits.add(.set, name, SessionText.field(text))
        case .cookie(let name, let path, let seconds):
            let expires = seconds > 0 ? (now &+ wallOffset) / 1_000_000_000 &+ seconds : 0
            var cookie = name + [0x3D, 0x22] + SessionText.cookie(text, expires: expires) + [0x22]
            if seconds > 0 { cookie += Array("; Max-Age=\(seconds)".utf8) }
            if !path.isEmpty { cookie += Array("; Path=".utf8) + path }
            pass.edits.add(.append, "set-cookie".utf8, cookie + Array("; HttpOnly".utf8))
        case .none: break
        }
    }

    private static func text(of address: SocketAddress, _ worker: Worker) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            guard let base = room.baseAddress else { return [] }
            var writer = ByteWriter(base, capacity: 64)
            if address.isIPv6 { writer.put(byte: 0x5B) }
            worker.put(address, &writer)
            if address.isIPv6 { writer.put(byte: 0x5D) }
            writer.put(byte: 0x3A)
            writer.put(decimal: UInt64(address.port))
            return Array(room[0..<writer.count])
        }
    }
}
