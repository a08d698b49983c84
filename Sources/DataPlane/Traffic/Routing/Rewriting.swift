/// Writes the few texts that routing makes (a new path, a redirect's location) into memory of the caller.
package struct ByteSink {
    private let place: UnsafeMutableRawBufferPointer
    package private(set) var count = 0
    /// Set when something did not fit; the text is then unusable.
    package private(set) var overflowed = false

    package init(_ place: UnsafeMutableRawBufferPointer) { self.place = place }

    package var written: ByteRun { ByteRun(start: UnsafeRawPointer(place.baseAddress), count: count) }

    package mutating func append(_ bytes: ByteRun) {
        guard let start = bytes.start, !overflowed else { return }
        guard bytes.count <= place.count - count, let target = place.baseAddress else {
            overflowed = true
            return
        }
        (target + count).copyMemory(from: start, byteCount: bytes.count)
        count += bytes.count
    }

    /// Lets `write` write into what room there is; it tells how many bytes it wrote, or -1 when they did not fit.
    mutating func fill(_ write: (_ place: UnsafeMutableRawPointer, _ room: Int) -> Int) {
        guard !overflowed, let target = place.baseAddress else { return }
        let written = write(target + count, place.count - count)
        if written < 0 { overflowed = true } else { count += written }
    }

    /// Makes what was written from `begin` on a path: `/` stands first, and there are no segments `.` and `..`.
    mutating func tidyPath(from begin: Int) {
        guard !overflowed, let base = place.baseAddress else { return }
        if count == begin || base.load(fromByteOffset: begin, as: UInt8.self) != 0x2F {
            guard count < place.count else {
                overflowed = true
                return
            }
            (base + begin + 1).copyMemory(from: base + begin, byteCount: count - begin)
            base.storeBytes(of: 0x2F, toByteOffset: begin, as: UInt8.self)
            count += 1
        }
        var source = begin
        var target = begin
        while source < count {
            // From one slash to the next one.
            var end = source + 1
            while end < count, base.load(fromByteOffset: end, as: UInt8.self) != 0x2F { end += 1 }
            let segment = ByteRun(start: base + source + 1, count: end - source - 1)
            if !segment.isDots {
                (base + target).copyMemory(from: base + source, byteCount: end - source)
                target += end - source
            }
            source = end
        }
        if target == begin { target = begin + 1 }
        count = target
    }

    package mutating func append(_ text: StaticString) {
        append(ByteRun(start: UnsafeRawPointer(text.utf8Start), count: text.utf8CodeUnitCount))
    }

    package mutating func append(byte: UInt8) {
        withUnsafeBytes(of: byte) { append(ByteRun($0)) }
    }

    package mutating func append(decimal value: UInt64) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { bytes in
            var rest = value
            var index = bytes.count
            repeat {
                index -= 1
                bytes[index] = 0x30 + UInt8(rest % 10)
                rest /= 10
            } while rest > 0 && index > 0
            append(ByteRun(UnsafeRawBufferPointer(rebasing: bytes[index...])))
        }
    }
}

extension Forward {
    /// Whether the path that goes upstream is another one than the client's.
    package var rewritesPath: Bool { prefixRewrite != nil || extras?.pointee.pathRewrite != nil }

    /// Writes the path that goes upstream when the route rewrites it, and the query.
    ///
    /// - Returns: false when the route does not rewrite; the sink is then untouched.
    package func writeRewrittenPath(_ request: RequestView, matched: PathMatch, into sink: inout ByteSink) -> Bool {
        if let prefix = prefixRewrite {
            sink.appendRewritten(request.path, matched: matched, prefix: prefix)
        } else if let rewrite = extras?.pointee.pathRewrite {
            sink.appendRewritten(request.path, by: rewrite)
        } else {
            return false
        }
        if !request.query.isEmpty {
            sink.append("?")
            sink.append(request.query)
        }
        return true
    }
}

extension ByteSink {
    /// Appends a text with every match replaced, as it comes out.
    package mutating func appendReplaced(_ text: ByteRun, by rewrite: PatternRewrite) {
        appendPlainly(text, by: rewrite)
    }

    mutating func appendRewritten(_ path: ByteRun, matched: PathMatch, prefix: ByteRun) {
        append(prefix)
        guard matched.kind != .exact, matched.kind != .pattern else { return }
        var rest = path.dropping(matched.bytes.count)
        // Replacing `/a` by `/` in `/a/b` must not make `//b`: the next hop would read another path than was routed.
        if prefix[prefix.count - 1] == 0x2F, rest[0] == 0x2F { rest = rest.dropping(1) }
        if prefix.isEmpty, rest[0] != 0x2F { append("/") }
        // Nor must `/a` by `/` in `/a../b` make `/../b`, which leads out of what was routed.
        if prefix.isEmpty || prefix[prefix.count - 1] == 0x2F { rest = rest.withoutLeadingDotSegments }
        append(rest)
    }
}

extension ByteRun {
    /// Whether it is `.` or `..`.
    fileprivate var isDots: Bool {
        self[0] == 0x2E && (count == 1 || (count == 2 && self[1] == 0x2E))
    }

    /// Without the segments `.` and `..` that it begins with.
    fileprivate var withoutLeadingDotSegments: ByteRun {
        var run = self
        while run[0] == 0x2E {
            let length = run.firstIndex(of: 0x2F) ?? run.count
            guard length == 1 || (length == 2 && run[1] == 0x2E) else { break }
            run = run.dropping(length + 1)
        }
        return run
    }
}

extension Redirect {
    /// Writes the value of `Location` (RFC 9110 section 10.2.2): scheme, host and path, with what the route replaces.
    package func writeLocation(_ request: RequestView, matched: PathMatch, into sink: inout ByteSink) {
        let secure = usesHTTPS || (scheme == nil && request.isTLS)
        if let scheme {
            sink.append(scheme)
        } else {
            sink.append(secure ? "https" : "http")
        }
        sink.append("://")
        sink.append(host ?? (usesHTTPS || port != nil ? request.authority.withoutPort : request.authority))
        if let port, port != (secure ? 443 : 80) {
            sink.append(":")
            sink.append(decimal: UInt64(port))
        }
        if let path {
            sink.append(path)
            // A configured path may bring its own query, which then stands for the request's.
            if path.firstIndex(of: 0x3F) != nil { return }
        } else if let prefix = prefixRewrite {
            sink.appendRewritten(request.path, matched: matched, prefix: prefix)
        } else if let rewrite = pathRewrite {
            sink.appendRewritten(request.path, by: rewrite)
        } else {
            sink.append(request.path)
        }
        if !stripsQuery, !request.query.isEmpty {
            sink.append("?")
            sink.append(request.query)
        }
    }
}
