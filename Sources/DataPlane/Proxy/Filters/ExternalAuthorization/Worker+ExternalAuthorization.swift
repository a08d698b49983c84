import Bytes
import HTTP
import Reactor
import TLS
import Traffic

/// `ext_authz`: a service says whether a request may pass, and what is changed in it. Without an answer nothing passes, unless the
/// configuration wants it so.
extension Worker {
    private static let path = "/envoy.service.auth.v3.Authorization/Check"

    func authorize(_ settings: AuthorizationSettings, _ step: FilterStep, _ pass: inout FilterPass) -> FilterVerdict {
        switch state(pass.exchange, pass.step) {
        case .calling: return .suspended
        case .called(let answer):
            setState(pass.exchange, pass.step, .none)
            return judge(answer, settings, &pass)
        default: break
        }
        let levels = authorizationLevels(step, pass.exchange)
        guard !(levels.first?.isDisabled ?? false) else { return .next }
        if pass.collected == .nothing, settings.share < 1_000_000, random.next() % 1_000_000 >= UInt64(settings.share) {
            countFilter(settings.numbers.disabled)
            guard settings.refusesOthers else { return .next }
            return .answered(
                FilterReply(
                    status: settings.errorStatus,
                    details: "ext_authz_denied",
                    flags: .unauthorizedExternalService
                )
            )
        }
        let wanted = (levels.first?.withoutBody ?? false) ? nil : levels.first?.body ?? settings.body
        var body: AuthorizationBody?
        if let wanted, pass.hasBody, !pass.exchange.pointee.flags.contains(.wantsUpgrade),
            pass.exchange.pointee.method != .connect
        {
            guard pass.collected != .nothing else { return .collects(wanted.limit) }
            guard pass.collected == .whole || wanted.allowsPart else {
                return .answered(FilterReply(status: 413, details: "request_payload_too_large"))
            }
            body = wanted
        }
        return ask(settings, levels, body, &pass)
    }

    private func authorizationLevels(_ step: FilterStep, _ exchange: ExchangePlace) -> [AuthorizationRoute] {
        let filters = routeFilters(exchange)
        var found: [AuthorizationRoute] = []
        for index in 0..<filters.count
        where filters[index].name == step.name && filters[index].kind == RouteFilterKind.externalAuthorization.rawValue
        {
            guard let address = filters[index].settings.start else { continue }
            // Safety: as in `settings`.
            found.append(Unmanaged<AuthorizationRoute>.fromOpaque(address).takeUnretainedValue())
        }
        return found
    }

    // MARK: Asking

    private func ask(
        _ settings: AuthorizationSettings,
        _ levels: [AuthorizationRoute],
        _ body: AuthorizationBody?,
        _ pass: inout FilterPass
    ) -> FilterVerdict {
        let target: Int32
        let request: CallRequest
        switch settings.service {
        case .call(let call):
            target = call.cluster
            request = call.request(Self.path, check(settings, levels, body, pass).message)
        case .http(let service):
            target = service.cluster
            request = httpRequest(service, settings, body, pass)
        }
        guard call(request, target, &pass) else { return failed(settings, &pass) }
        return .suspended
    }

    /// Begins the call of a step. False when it cannot be made.
    func call(_ request: CallRequest, _ cluster: Int32, _ pass: inout FilterPass) -> Bool {
        var failure: StaticString = ""
        let owner = CallOwner.step(
            exchange: pass.index,
            generation: pass.exchange.pointee.generation,
            step: pass.step
        )
        let place = self.cluster(at: cluster, pass.exchange)
        guard let token = sideCall(request, to: place, owner, failure: &failure) else { return false }
        setState(pass.exchange, pass.step, .calling(token))
        return true
    }

    private func check(
        _ settings: AuthorizationSettings,
        _ levels: [AuthorizationRoute],
        _ body: AuthorizationBody?,
        _ pass: FilterPass
    ) -> AuthorizationCheck {
        let exchange = pass.exchange
        let place = pass.place
        var check = AuthorizationCheck()
        check.source = peer(place.pointee.peer)
        check.destination = peer(place.pointee.destination)
        if let session = place.pointee.tls {
            check.scheme = "https"
            check.source.principal = Self.principal(session.peer)
            check.destination.principal = Self.principal(session.ownCertificate?.identity)
            if settings.tellsCertificate, session.hasPeer {
                check.source.certificate = Self.percentEncoded(session.peerText(chain: false))
            }
            if settings.tellsServerName { check.serverName = session.serverName ?? "" }
        }
        check.time = exchange.pointee.startedAt &+ wallOffset
        check.id = "\(random.next())"
        check.method = Array(pass.facts.view.method.buffer)
        check.host = Array(pass.facts.view.authority.buffer)
        check.path = Array(pass.facts.target.buffer)
        check.size = Int64(clamping: exchange.pointee.requestBody.carried)
        check.protocolName = place.pointee.isStream ? "HTTP/2" : head.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1"
        for (name, value) in [
            (":authority", check.host), (":method", check.method), (":path", check.path),
            (":scheme", Array(check.scheme.utf8)), ("x-forwarded-proto", Array(check.scheme.utf8)),
        ] where isTold(Array(name.utf8), settings) {
            check.add(Array(name.utf8), value)
        }
        let proto = Array("x-forwarded-proto".utf8)
        eachField(pass) { name, value in
            if name == Array("x-envoy-downstream-service-cluster".utf8) {
                check.source.service = String(decoding: value.buffer, as: UTF8.self)
            }
            guard name != proto, isTold(name, settings) else { return }
            check.add(name, Array(value.buffer))
        }
        if let body {
            check.body = collectedBody(exchange, body)
            check.isRaw = body.isRaw
            check.add(
                Array("x-envoy-auth-partial-body".utf8),
                Array((pass.collected == .whole ? "false" : "true").utf8)
            )
        }
        for level in levels.reversed() { check.extensions.merge(level.extensions) { $1 } }
        return check
    }

    private func isTold(_ name: [UInt8], _ settings: AuthorizationSettings) -> Bool {
        (settings.allowed?.matches(name) ?? true) && !(settings.disallowed?.matches(name) ?? false)
    }

    /// Calls `body` with each field of the request but Host: the name in lower case.
    private func eachField(_ pass: FilterPass, _ body: (_ name: [UInt8], _ value: ByteRun) -> Void) {
        for index in 0..<requestFields.count
        where requestFields.names[index] != .dropped && requestFields.names[index] != .host {
            let field = requestFields.fields[index]
            let name = ByteRun(start: pass.facts.base + Int(field.nameStart), count: Int(field.nameLength))
            body(
                name.lowercased,
                ByteRun(start: pass.facts.base + Int(field.valueStart), count: Int(field.valueLength))
            )
        }
    }

    private func collectedBody(_ exchange: ExchangePlace, _ body: AuthorizationBody) -> [UInt8] {
        Array(exchange.filterRun?.pointee.stored.prefix(body.limit) ?? [])
    }

    private func peer(_ address: SocketAddress) -> AuthorizationCheck.Peer {
        var peer = AuthorizationCheck.Peer()
        guard address.family != 0 else { return peer }
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            guard let base = room.baseAddress else { return }
            var writer = ByteWriter(base, capacity: room.count)
            put(address, &writer)
            peer.address = String(decoding: UnsafeRawBufferPointer(start: base, count: writer.count), as: UTF8.self)
        }
        peer.port = address.port
        return peer
    }

    /// Who a certificate says that its owner is.
    private static func principal(_ identity: PeerIdentity?) -> String {
        guard let identity else { return "" }
        return identity.uris.first?.text ?? identity.dnsNames.first?.text ?? identity.subject
    }

    private func httpRequest(
        _ service: AuthorizationSettings.HTTPService,
        _ settings: AuthorizationSettings,
        _ body: AuthorizationBody?,
        _ pass: FilterPass
    ) -> CallRequest {
        let view = pass.facts.view
        let path = service.pathPrefix + Array(pass.facts.target.buffer)
        var request = path.withUnsafeBytes {
            CallRequest(
                pass.exchange.pointee.method,
                view.method,
                path: ByteRun($0),
                authority: view.authority
            )
        }
        request.timeout = service.timeout
        eachField(pass) { name, value in
            let isAllowed =
                name == Array("authorization".utf8) || service.allowed?.matches(name) ?? false
                || settings.allowed?.matches(name) ?? false
            guard isAllowed, !(settings.disallowed?.matches(name) ?? false),
                !service.added.contains(where: { $0.name.utf8.elementsEqual(name) })
            else { return }
            name.withUnsafeBytes { _ = request.add(ByteRun($0), value) }
        }
        if let body {
            request.body = collectedBody(pass.exchange, body)
            request.add("x-envoy-auth-partial-body", pass.collected == .whole ? "false" : "true")
        }
        for (name, value) in service.added { request.add(name, value) }
        return request
    }

    // MARK: The verdict

    private func judge(_ answer: CallAnswer, _ settings: AuthorizationSettings, _ pass: inout FilterPass)
        -> FilterVerdict
    {
        let verdict: AuthorizationVerdict
        switch settings.service {
        case .call: verdict = AuthorizationVerdict(call: answer)
        case .http(let service): verdict = AuthorizationVerdict(http: answer, service)
        }
        switch verdict.outcome {
        case .error: return failed(settings, &pass)
        case .denied:
            countFilter(settings.numbers.denied)
            var reply = FilterReply(
                status: verdict.status,
                details: "ext_authz_denied",
                flags: .unauthorizedExternalService
            )
            reply.body = verdict.body
            if settings.refusalLimit > 0 { reply.body = Array(reply.body.prefix(settings.refusalLimit)) }
            reply.fields = verdict.fields
            return .answered(reply)
        case .ok:
            countFilter(settings.numbers.ok)
            change(verdict, &pass)
            if settings.clearsRoute, !pass.edits.isEmpty { pass.clearsRoute = true }
            if !verdict.answer.isEmpty { setState(pass.exchange, pass.step, .answerEdits(verdict.answer)) }
            return .next
        }
    }

    private func change(_ verdict: AuthorizationVerdict, _ pass: inout FilterPass) {
        var known: Set<[UInt8]> = []
        for edit in verdict.request.edits {
            let name = Array(verdict.request.bytes[edit.name])
            let value = verdict.request.bytes[edit.value]
            if edit.kind == .append, !verdict.appendsAlways, !known.contains(name) {
                guard name.withUnsafeBytes({ pass.facts.view.value(of: ByteRun($0)) }) != nil else { continue }
            }
            known.insert(name)
            pass.edits.add(edit.kind, name, value)
        }
        if let target = verdict.target(pass.facts.target) { pass.edits.add(.set, ":path".utf8, target) }
    }

    /// There is no verdict: nothing passes, unless the configuration says otherwise.
    private func failed(_ settings: AuthorizationSettings, _ pass: inout FilterPass) -> FilterVerdict {
        countFilter(settings.numbers.error)
        guard settings.allowsOnFailure else {
            return .answered(
                FilterReply(
                    status: settings.errorStatus,
                    details: "ext_authz_error",
                    flags: .unauthorizedExternalService
                )
            )
        }
        countFilter(settings.numbers.failureModeAllowed)
        if settings.tellsFailure { pass.edits.set("x-envoy-auth-failure-mode-allowed", "true") }
        return .next
    }

    // MARK: Answers of calls

    /// Hands answers to the filters that wait for them. Between two events, so that nobody stands in the middle of something.
    func deliverAnswers() {
        var position = 0
        while position < answeredSteps.count {
            let (owner, answer) = answeredSteps[position]
            position += 1
            if case .keys(let source) = owner { keysArrived(source, answer) }
            guard case .step(let index, let generation, let step) = owner,
                let exchange = exchanges.find(index, generation: generation),
                case .calling = state(exchange, step)
            else { continue }
            setState(exchange, step, .called(answer))
            resumeFilters(index, exchange)
        }
        answeredSteps.removeAll(keepingCapacity: true)
    }

    /// What a service wants changed in the answer to a request that it let pass.
    func showAnswerEdits(_ pass: inout AnswerPass) {
        if case .answerEdits(let edits) = state(pass.exchange, pass.step) { pass.edits.append(contentsOf: edits) }
    }
}
