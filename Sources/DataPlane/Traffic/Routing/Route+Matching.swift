extension Route {
    /// Whether this route takes the request. The cheap conditions come first.
    func matches(_ request: RequestView, draw: UInt32) -> Bool {
        guard path.matches(request.path, method: request.method) else { return false }
        for index in 0..<headers.count where !headers[index].matches(request) { return false }
        for index in 0..<query.count where !query[index].matches(request.query) { return false }
        guard draw < fractionPerMillion else { return false }
        return demands.isEmpty || meetsDemands(request)
    }

    private func meetsDemands(_ request: RequestView) -> Bool {
        if demands.contains(.grpc), !request.isGRPC { return false }
        if demands.contains(.certificate), !request.hasCertificate { return false }
        return !(demands.contains(.noCertificate) && request.hasCertificate)
    }
}

extension PathMatch {
    private static let connectMethod = StaticRun("CONNECT")

    func matches(_ target: ByteRun, method: ByteRun) -> Bool {
        switch kind {
        case .prefix: return starts(target) && !target.isEmpty
        case .exact: return target.count == bytes.count && starts(target)
        case .separatedPrefix:
            return starts(target) && (target.count == bytes.count || target[bytes.count] == 0x2F)
        case .connect: return method.equals(Self.connectMethod.run)
        // A CONNECT request has no path that an expression for paths could mean.
        case .pattern: return !target.isEmpty && pattern?.matches(target) ?? false
        }
    }

    private func starts(_ target: ByteRun) -> Bool {
        guard target.count >= bytes.count else { return false }
        let head = target.first(bytes.count)
        return isCaseSensitive ? head.equals(bytes) : head.equalsIgnoringCase(bytes)
    }
}

/// The bytes of a literal of the program.
struct StaticRun {
    let run: ByteRun

    init(_ text: StaticString) {
        run = ByteRun(start: UnsafeRawPointer(text.utf8Start), count: text.utf8CodeUnitCount)
    }
}

extension TextMatch {
    package func matches(_ text: ByteRun) -> Bool {
        switch kind {
        case .exact: return same(text, bytes)
        case .prefix: return text.count >= bytes.count && same(text.first(bytes.count), bytes)
        case .suffix: return text.count >= bytes.count && same(text.last(bytes.count), bytes)
        case .contains:
            guard ignoresCase else { return text.contains(bytes) }
            guard text.count >= bytes.count else { return false }
            for offset in 0...(text.count - bytes.count)
            where text.dropping(offset).first(bytes.count).equalsIgnoringCase(bytes) {
                return true
            }
            return bytes.isEmpty
        case .pattern: return pattern?.matches(text) ?? false
        }
    }

    private func same(_ left: ByteRun, _ right: ByteRun) -> Bool {
        ignoresCase ? left.equalsIgnoringCase(right) : left.equals(right)
    }
}

extension HeaderMatch {
    package func matches(_ request: RequestView) -> Bool {
        let result: Bool
        switch target {
        case .field: result = matchesField(request)
        case .cookie: result = request.cookie(name).map(accepts) ?? false
        case .method: result = accepts(request.method)
        case .path:
            let joined = request.query.isEmpty ? request.path : request.pathAndQuery
            result = accepts(joined)
        case .authority: result = accepts(request.authority)
        case .scheme: result = accepts(request.isHTTPS ? Self.https.run : Self.http.run)
        }
        return result != isInverted
    }

    private static let http = StaticRun("http")
    private static let https = StaticRun("https")

    /// Every value is looked at by itself: joining them would let a second field hide what the first one says.
    private func matchesField(_ request: RequestView) -> Bool {
        var position = 0
        guard let first = request.nextValue(of: name, from: &position) else {
            if case .present(let wanted) = rule { return !wanted }
            // A field that is not there meets no condition, nor its opposite.
            return treatsMissingAsEmpty ? accepts(.empty) : isInverted
        }
        if case .present(let wanted) = rule { return wanted }
        if accepts(first) { return true }
        while let value = request.nextValue(of: name, from: &position) {
            if accepts(value) { return true }
        }
        return false
    }

    private func accepts(_ value: ByteRun) -> Bool {
        switch rule {
        case .text(let text): return text.matches(value)
        case .present(let wanted): return wanted
        case .range(let start, let end):
            guard let number = value.decimal else { return false }
            return number >= start && number < end
        }
    }
}

extension RequestView {
    private static let cookieField = StaticRun("cookie")
    private static let contentType = StaticRun("content-type")
    private static let grpcType = StaticRun("application/grpc")

    /// Whether the request says that it is gRPC.
    package var isGRPC: Bool {
        guard let type = value(of: Self.contentType.run), type.hasPrefix(Self.grpcType.run) else { return false }
        guard let next = type[Self.grpcType.run.count] else { return true }
        return next == 0x2B || next == 0x3B || next == 0x20
    }

    /// The value of the first cookie of a name in all Cookie fields, without quotes around it.
    package func cookie(_ name: ByteRun) -> ByteRun? {
        var position = 0
        while var rest = nextValue(of: Self.cookieField.run, from: &position) {
            while !rest.isEmpty {
                let end = rest.firstIndex(of: 0x3B) ?? rest.count
                var pair = rest.first(end)
                rest = rest.dropping(end + 1)
                while pair[0] == 0x20 { pair = pair.dropping(1) }
                guard let equals = pair.firstIndex(of: 0x3D), pair.first(equals).equals(name) else { continue }
                let value = pair.dropping(equals + 1)
                guard value.count >= 2, value[0] == 0x22, value[value.count - 1] == 0x22 else { return value }
                return value.dropping(1).first(value.count - 2)
            }
        }
        return nil
    }
}

extension QueryMatch {
    func matches(_ query: ByteRun) -> Bool {
        guard let value = Self.value(of: name, in: query) else { return text == nil && !mustBePresent }
        guard let text else { return mustBePresent }
        return text.matches(value)
    }

    /// The value of the first parameter of a name; a parameter without `=` has an empty value.
    static func value(of name: ByteRun, in query: ByteRun) -> ByteRun? {
        var rest = query
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x26) ?? rest.count
            let pair = rest.first(end)
            rest = rest.dropping(end + 1)
            let equals = pair.firstIndex(of: 0x3D) ?? pair.count
            if pair.first(equals).equals(name) { return pair.dropping(equals + 1) }
        }
        return nil
    }
}

extension ByteRun {
    /// The whole run as a decimal number with an optional minus sign, or nil.
    package var decimal: Int64? {
        let isNegative = self[0] == 0x2D
        let digits = isNegative ? dropping(1) : self
        guard digits.count > 0, digits.count <= 18 else { return nil }
        var value: Int64 = 0
        for byte in digits.buffer {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            // At most 18 digits: no overflow.
            value = value * 10 + Int64(byte - 0x30)
        }
        return isNegative ? -value : value
    }
}

extension RequestView {
    /// Path, `?` and query where they stand side by side in one buffer, as they do in a request line; else the path.
    package var pathAndQuery: ByteRun {
        guard let start = path.start, let other = query.start, other - start == path.count + 1 else { return path }
        return ByteRun(start: start, count: path.count + 1 + query.count)
    }
}
