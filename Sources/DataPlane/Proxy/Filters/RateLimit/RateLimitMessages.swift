import Traffic
import Wire

/// `envoy.service.ratelimit.v3`: what is asked, and what comes back.
enum RateLimitMessage {
    static func request(domain: String, _ descriptors: [RateLimitDescriptor]) -> [UInt8] {
        var request = ProtobufWriter()
        request.text(1, domain)
        for descriptor in descriptors {
            var one = ProtobufWriter()
            for entry in descriptor.entries {
                var pair = ProtobufWriter()
                pair.run(1, AuthorizationCheck.text(entry.key))
                pair.run(2, AuthorizationCheck.text(entry.value))
                one.run(1, pair.bytes)
            }
            if let hits = descriptor.hits {
                var wrapper = ProtobufWriter()
                wrapper.varint(1, hits)
                one.run(3, wrapper.bytes)
            }
            request.run(2, one.bytes)
        }
        return request.bytes
    }
}

/// What the service says of a request.
struct RateLimitVerdict {
    enum Outcome { case ok, overLimit, error }

    var outcome = Outcome.error
    var answer = HeadEdits()
    var request = HeadEdits()
    var body: [UInt8] = []
    /// `x-ratelimit-limit`, `-remaining` and `-reset`; nil: no descriptor has a limit.
    var limits: (limit: String, remaining: String, reset: String)?

    init(_ call: CallAnswer) {
        guard let message = call.message else { return }
        var reader = ProtobufReader(message)
        var code: UInt64 = 0
        var statuses: [Status] = []
        do throws(WireError) {
            while let field = try reader.next() {
                switch (field.number, field.content) {
                case (1, .varint(let value)): code = value
                case (2, .bytes(let run)): statuses.append(try Status(run))
                case (3, .bytes(let run)):
                    let header = try HeaderOption(header: run)
                    if !AuthorizationVerdict.isFrame(header.name) { answer.add(.append, header.name, header.value) }
                case (4, .bytes(let run)):
                    let header = try HeaderOption(header: run)
                    request.add(.append, header.name, header.value)
                case (5, .bytes(let run)): body = Array(run)
                default: break
                }
            }
        } catch {
            return
        }
        switch code {
        case 1: outcome = .ok
        case 2: outcome = .overLimit
        default: return
        }
        limits = Self.limits(statuses)
    }

    struct Status {
        var requests: UInt64?
        /// Seconds of the window; 0 = unknown.
        var window: UInt64 = 0
        var name: [UInt8] = []
        var remaining: UInt64 = 0
        var reset: UInt64 = 0

        init(_ run: ArraySlice<UInt8>) throws(WireError) {
            var reader = ProtobufReader(run)
            while let field = try reader.next() {
                switch (field.number, field.content) {
                case (2, .bytes(let limit)): try read(limit)
                case (3, .varint(let value)): remaining = value
                case (4, .bytes(let duration)):
                    var inner = ProtobufReader(duration)
                    while let part = try inner.next() {
                        if part.number == 1, case .varint(let seconds) = part.content { reset = seconds }
                    }
                default: break
                }
            }
        }

        private mutating func read(_ limit: ArraySlice<UInt8>) throws(WireError) {
            requests = 0
            var reader = ProtobufReader(limit)
            while let field = try reader.next() {
                switch (field.number, field.content) {
                case (1, .varint(let value)): requests = value
                case (2, .varint(let unit)):
                    let seconds: [UInt64] = [0, 1, 60, 3600, 86_400, 2_592_000, 31_536_000, 604_800]
                    window = unit < 8 ? seconds[Int(unit)] : 0
                case (3, .bytes(let text)): name = Array(text)
                default: break
                }
            }
        }
    }

    /// As the draft has it: the tightest limit first, then all with their windows.
    private static func limits(_ statuses: [Status]) -> (limit: String, remaining: String, reset: String)? {
        var tightest: Status?
        var policy = ""
        for status in statuses {
            guard let requests = status.requests else { continue }
            if status.remaining < tightest?.remaining ?? .max { tightest = status }
            guard status.window > 0 else { continue }
            policy += ", \(requests);w=\(status.window)"
            if !status.name.isEmpty { policy += ";name=\"\(String(decoding: status.name, as: UTF8.self))\"" }
        }
        guard let tightest, let requests = tightest.requests else { return nil }
        return ("\(requests)\(policy)", "\(tightest.remaining)", "\(tightest.reset)")
    }
}
