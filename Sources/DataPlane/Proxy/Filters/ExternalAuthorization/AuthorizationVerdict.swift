import Traffic
import Wire

/// What a service says of a request.
struct AuthorizationVerdict {
    enum Outcome { case ok, denied, error }

    var outcome = Outcome.error
    /// Of a refusal.
    var status: UInt16 = 403
    var body: [UInt8] = []
    /// Fields of a refusal.
    var fields = HeadEdits()
    /// What is changed in a request that passes.
    var request = HeadEdits()
    /// A field is appended also where there is none of its name.
    var appendsAlways = false
    /// What is changed in the answer to a request that passes.
    var answer = HeadEdits()
    var addedQuery: [(name: [UInt8], value: [UInt8])] = []
    var removedQuery: [[UInt8]] = []

    init() {}

    // MARK: gRPC

    /// Reads the outcome of `Check`.
    init(call answer: CallAnswer) {
        guard let message = answer.message else { return }
        var reader = ProtobufReader(message)
        do throws(WireError) {
            var code: UInt64 = 0
            var denied: ArraySlice<UInt8>?
            var ok: ArraySlice<UInt8>?
            while let field = try reader.next() {
                guard case .bytes(let run) = field.content else { continue }
                switch field.number {
                case 1: code = try Self.status(run)
                case 2: denied = run
                case 3: ok = run
                default: break
                }
            }
            if code == 0 {
                if let ok { try takeOK(ok) }
                outcome = .ok
            } else {
                if let denied { try takeDenied(denied) }
                outcome = .denied
            }
        } catch {
            self = AuthorizationVerdict()
        }
    }

    private static func status(_ run: ArraySlice<UInt8>) throws(WireError) -> UInt64 {
        var reader = ProtobufReader(run)
        var code: UInt64 = 0
        while let field = try reader.next() {
            if field.number == 1, case .varint(let value) = field.content { code = value }
        }
        return code
    }

    private mutating func takeDenied(_ run: ArraySlice<UInt8>) throws(WireError) {
        var reader = ProtobufReader(run)
        while let field = try reader.next() {
            guard case .bytes(let content) = field.content else { continue }
            switch field.number {
            case 1:
                let code = try Self.status(content)
                if (200...599).contains(code) { status = UInt16(code) }
            case 2:
                let option = try HeaderOption(content)
                if !Self.isFrame(option.name) { fields.add(.append, option.name, option.value) }
            case 3: body = Array(content)
            default: break
            }
        }
    }

    private mutating func takeOK(_ run: ArraySlice<UInt8>) throws(WireError) {
        var reader = ProtobufReader(run)
        while let field = try reader.next() {
            guard case .bytes(let content) = field.content else { continue }
            switch field.number {
            case 2:
                let option = try HeaderOption(content)
                request.add(option.requestKind, option.name, option.value)
            case 5:
                let name = Array(content).map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
                if name.first != 0x3A, name != Array("host".utf8) { request.add(.remove, name, []) }
            case 6:
                let option = try HeaderOption(content)
                answer.add(option.answerKind, option.name, option.value)
            case 7:
                var parameter = ProtobufReader(content)
                var pair: (name: [UInt8], value: [UInt8]) = ([], [])
                while let part = try parameter.next() {
                    guard case .bytes(let text) = part.content else { continue }
                    if part.number == 1 { pair.name = Array(text) }
                    if part.number == 2 { pair.value = Array(text) }
                }
                if Self.isPlain(pair.name), !pair.name.isEmpty, Self.isPlain(pair.value) { addedQuery.append(pair) }
            case 8: removedQuery.append(Array(content))
            default: break
            }
        }
    }

    /// Whether a text may stand in a query as it is.
    private static func isPlain(_ text: [UInt8]) -> Bool {
        text.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x23 && $0 != 0x26 }
    }

    /// Fields that the proxy writes itself.
    static func isFrame(_ name: [UInt8]) -> Bool {
        name.first == 0x3A
            || [
                "date", "server", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade",
                "trailer",
                "te", "proxy-connection",
            ].contains { $0.utf8.elementsEqual(name) }
    }

    // MARK: HTTP

    init(http answer: CallAnswer, _ service: AuthorizationSettings.HTTPService) {
        guard answer.failure == nil, answer.status < 500 else { return }
        guard answer.status == 200 else {
            outcome = .denied
            status = answer.status >= 200 ? answer.status : 403
            body = answer.body
            answer.fields.forEach { name, value in
                let name = name.lowercased
                guard !Self.isFrame(name) else { return }
                let isOwn = ["www-authenticate", "location"].contains { $0.utf8.elementsEqual(name) }
                if service.client?.matches(name) ?? true || isOwn { fields.add(.append, name, value.buffer) }
            }
            return
        }
        outcome = .ok
        appendsAlways = true
        var seen: Set<[UInt8]> = []
        answer.fields.forEach { name, value in
            let name = name.lowercased
            if Array("x-envoy-auth-headers-to-remove".utf8) == name {
                for part in value.buffer.split(separator: 0x2C) {
                    let removed = ByteRun(UnsafeRawBufferPointer(rebasing: part)).trimmed.lowercased
                    if !removed.isEmpty, removed.first != 0x3A, removed != Array("host".utf8) {
                        request.add(.remove, removed, [])
                    }
                }
                return
            }
            guard !Self.isFrame(name) || name == Array("date".utf8) || name == Array("server".utf8) else { return }
            if service.upstream?.matches(name) ?? false {
                // The first of a name replaces what is there, further ones stand beside it.
                request.add(seen.insert(name).inserted ? .set : .append, name, value.buffer)
            }
            if service.upstreamAppended?.matches(name) ?? false { request.add(.append, name, value.buffer) }
            if service.clientOnSuccess?.matches(name) ?? false { self.answer.add(.append, name, value.buffer) }
        }
    }

    // MARK: Queries

    /// The target with its query changed; nil: as it was.
    func target(_ target: ByteRun) -> [UInt8]? {
        guard !addedQuery.isEmpty || !removedQuery.isEmpty else { return nil }
        let mark = target.firstIndex(of: 0x3F)
        let path = Array(target.first(mark ?? target.count).buffer)
        let query = mark.map { target.dropping($0 + 1) } ?? .empty
        var parts = query.buffer.split(separator: 0x26).map { Array($0) }.filter { part in
            let name = Array(part.prefix { $0 != 0x3D })
            return !removedQuery.contains(name) && !addedQuery.contains { $0.name == name }
        }
        parts += addedQuery.filter { !removedQuery.contains($0.name) }.map { $0.name + [0x3D] + $0.value }
        return parts.isEmpty ? path : path + [0x3F] + Array(parts.joined(separator: [0x26]))
    }
}

/// `envoy.config.core.v3.HeaderValueOption`, read.
struct HeaderOption {
    var name: [UInt8] = []
    var value: [UInt8] = []
    var append: Bool?
    var action: UInt64 = 0

    init(_ run: ArraySlice<UInt8>) throws(WireError) {
        var reader = ProtobufReader(run)
        while let field = try reader.next() {
            switch (field.number, field.content) {
            case (1, .bytes(let header)): try read(header)
            case (2, .bytes(let wrapper)):
                var inner = ProtobufReader(wrapper)
                append = false
                while let part = try inner.next() {
                    if part.number == 1, case .varint(let value) = part.content { append = value != 0 }
                }
            case (3, .varint(let value)): action = value
            default: break
            }
        }
    }

    /// A bare `HeaderValue`.
    init(header: ArraySlice<UInt8>) throws(WireError) { try read(header) }

    private mutating func read(_ header: ArraySlice<UInt8>) throws(WireError) {
        var reader = ProtobufReader(header)
        while let field = try reader.next() {
            guard case .bytes(let content) = field.content else { continue }
            switch field.number {
            case 1: name = content.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
            case 2: if !content.isEmpty { value = Array(content) }
            case 3: if !content.isEmpty { value = Array(content) }
            default: break
            }
        }
    }

    /// Towards the endpoint: without a word a field replaces one of its name.
    var requestKind: HeadEdits.Kind {
        if let append { return append ? .append : .set }
        return action == 0 ? .set : kind
    }

    /// Towards the client: without a word a field is added.
    var answerKind: HeadEdits.Kind {
        if let append { return append ? .append : .set }
        return kind
    }

    private var kind: HeadEdits.Kind {
        switch action {
        case 1: .addIfAbsent
        case 2: .set
        case 3: .setIfPresent
        default: .append
        }
    }
}
