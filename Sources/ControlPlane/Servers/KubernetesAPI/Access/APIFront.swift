import Bytes
import Glibc
import Resources
import Store

/// What stands before the API: who asks, whether that one may, whose turn it is, and what is written down about it.
///
/// Requests from the Unix socket and from the loopback port are of the daemon's own user and may do everything; over TLS a
/// certificate or token says who asks, and Roles say what that one may do.
package struct APIFront: Sendable {
    private let api: KubernetesAPI
    private let audit: AuditLog?
    private let gate: RequestGate
    private let streams = StreamCount()

    package init(api: KubernetesAPI, audit: AuditLog? = nil, gate: RequestGate = RequestGate()) {
        self.api = api
        self.audit = audit
        self.gate = gate
    }

    package func handle(_ request: HTTPRequest) async -> HTTPResponse {
        if let objection = LoopbackGuard.objection(to: request, user: geteuid()) {
            return KubernetesAPI.refusal(objection)
        }
        guard let segments = request.segments else {
            return KubernetesAPI.refusal(.badRequest("the path is malformed"))
        }
        let facts = RequestFacts(request, segments)
        guard let audit else { return await answer(request, facts).response }
        let received = api.clock()
        let notes = WriteNotes()
        let (response, caller, verdict) = await WriteNotes.$current.withValue(notes) { await answer(request, facts) }
        var event = AuditEvent(
            request: request,
            facts: facts,
            caller: caller,
            received: received,
            id: Identifiers.random()
        )
        if let verdict {
            event.decision = verdict.isAllowed ? "allow" : "forbid"
            event.reason = verdict.reason
        }
        event.notes = notes.annotations
        var goesOn = true
        if case .bytes = response.body { goesOn = false }
        audit.write(event.value(status: response.status, goesOn: goesOn, at: api.clock()))
        return response
    }

    private typealias Answer = (response: HTTPResponse, caller: Caller, verdict: Authorizer.Verdict?)

    private func answer(_ request: HTTPRequest, _ facts: RequestFacts) async -> Answer {
        var caller = Caller.anonymous
        var verdict: Authorizer.Verdict?
        do throws(APIError) {
            caller = try await api.authenticator.caller(of: request)
            if let wanted = try Impersonation(request) { caller = try await wanted.take(by: caller, api.authorizer) }
            if !caller.mayEverything {
                let found = try await api.authorizer.judge(facts, by: caller)
                verdict = found
                guard found.isAllowed else { throw Self.refusal(facts, caller) }
            }
            let known = caller
            let flow = Self.flow(of: request, caller)
            let response = try await gate.pass(flow) { await api.handle(request, as: known) }
            return (try streams.counted(response, flow), caller, verdict)
        } catch {
            return (KubernetesAPI.refusal(error), caller, verdict)
        }
    }

    private static func refusal(_ facts: RequestFacts, _ caller: Caller) -> APIError {
        let who = "User \"\(caller.name)\" \(facts.sentence)"
        guard facts.path == nil else {
            return APIError(code: 403, reason: .forbidden, message: "forbidden: \(who)")
        }
        let resource = facts.group.isEmpty ? facts.resource : "\(facts.resource).\(facts.group)"
        var details = APIError.Details()
        details.name = facts.name
        details.group = facts.group
        details.kind = facts.resource
        return APIError(
            code: 403,
            reason: .forbidden,
            message: "\(resource)\(facts.name.isEmpty ? "" : " \"\(facts.name)\"") is forbidden: \(who)",
            details: details
        )
    }

    /// Who shares a queue: a user's program, by its own word.
    private static func flow(of request: HTTPRequest, _ caller: Caller) -> String {
        let agent = request.headers["User-Agent"]?.split(separator: "/").first.map { String($0.prefix(40)) } ?? ""
        return agent.isEmpty ? caller.name : "\(caller.name) (\(agent))"
    }
}

/// Answers that go on (watches, logs, commands): each flow may have so many open, so that others find a connection, too.
private final class StreamCount: Sendable {
    private static let perFlow = 512
    private let open = Lock<[String: Int]>([:])

    /// The response, counted until its stream ends.
    ///
    /// - Throws: `APIError` 429 when the flow has enough.
    func counted(_ response: HTTPResponse, _ flow: String) throws(APIError) -> HTTPResponse {
        if case .bytes = response.body { return response }
        let isFull = open.withLock { open in
            guard open[flow, default: 0] < Self.perFlow else { return true }
            open[flow, default: 0] += 1
            return false
        }
        if isFull {
            throw APIError(
                code: 429,
                reason: .tooManyRequests,
                message: "\(flow) has \(Self.perFlow) watches and streams open already"
            )
        }
        let ticket = Ticket(count: self, flow: flow)
        var counted = response
        switch response.body {
        case .bytes: break
        case .stream(let write):
            counted.body = .stream { writer in
                defer { ticket.end() }
                try await write(writer)
            }
        case .upgrade(let speak):
            counted.body = .upgrade { connection in
                defer { ticket.end() }
                await speak(connection)
            }
        }
        return counted
    }

    fileprivate func close(_ flow: String) {
        open.withLock { open in
            let left = open[flow, default: 1] - 1
            open[flow] = left > 0 ? left : nil
        }
    }

    /// Gives the place back once: at the end of the stream, or when it is dropped without ever being written.
    private final class Ticket: Sendable {
        private let count: StreamCount
        private let flow: String
        private let isOpen = Lock(true)

        init(count: StreamCount, flow: String) {
            self.count = count
            self.flow = flow
        }

        deinit { end() }

        func end() {
            let wasOpen = isOpen.withLock { isOpen in
                defer { isOpen = false }
                return isOpen
            }
            if wasOpen { count.close(flow) }
        }
    }
}

/// Names made by chance.
enum Identifiers {
    /// A random UUID (RFC 9562 version 4).
    static func random() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text += "-" }
            text.append(digit)
        }
        return text
    }
}
