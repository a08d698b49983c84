/// Which messages of one direction are compressed.
package struct CompressionRules: Sendable, Equatable {
    package var isEnabled = true
    package var minimumLength: UInt64 = 30
    /// Media types in lower case, without parameters.
    package var types: [[UInt8]] = defaultTypes
    /// An answer with an `etag` stays as it is.
    package var stopsAtETag = false
    /// A strong `etag` becomes a weak one instead of being taken out.
    package var weakensETag = false
    package var refusedStatuses: [UInt16] = []
    /// Endpoints do not hear what the client accepts.
    package var hidesAcceptEncoding = false

    package init() {}

    package static let defaultTypes: [[UInt8]] = [
        "text/html", "text/plain", "text/css", "application/javascript", "application/x-javascript",
        "text/javascript", "text/x-javascript", "text/ecmascript", "text/js", "text/jscript", "text/x-js",
        "application/ecmascript", "application/x-json", "application/xml", "application/json", "image/svg+xml",
        "text/xml", "application/xhtml+xml",
    ].map { Array($0.utf8) }

    /// Whether a message's declared length, or that it has none, allows compression.
    package func isLongEnough(_ length: UInt64?) -> Bool { length.map { $0 >= minimumLength } ?? true }

    /// Whether the media type is one of the list; a message without one passes.
    package func takesType(_ view: RequestView) -> Bool {
        guard let value = view.value(of: FieldText.run("content-type")) else { return true }
        let type = value.first(value.firstIndex(of: 0x3B) ?? value.count).trimmed
        guard !type.isEmpty else { return true }
        return types.contains { list in list.withUnsafeBytes { type.equalsIgnoringCase(ByteRun($0)) } }
    }

    /// Whether the message is in a form that compression would spoil.
    private func isBarred(_ view: RequestView) -> Bool {
        view.value(of: FieldText.run("content-encoding")) != nil
            || FieldText.has("no-transform", in: "cache-control", view)
            || view.value(of: FieldText.run("content-range")) != nil
    }

    /// What an answer's head says about compression, whatever the client accepts.
    package func judge(status: UInt16, length: UInt64?, isUpgrade: Bool, _ view: RequestView) -> CompressionVerdict {
        var verdict: CompressionVerdict = []
        guard isEnabled else { return verdict }
        guard isLongEnough(length) else { return .tooShort }
        if stopsAtETag, view.value(of: FieldText.run("etag")) != nil { verdict.insert(.hasETag) }
        guard verdict.isEmpty, !isUpgrade, takesType(view), !isBarred(view), status != 206,
            !refusedStatuses.contains(status), !isAlreadyCoded(view)
        else { return verdict }
        return .compressible
    }

    /// Whether a request's body is compressed on its way.
    package func takesRequest(length: UInt64?, _ view: RequestView) -> CompressionVerdict {
        guard isEnabled else { return [] }
        guard isLongEnough(length) else { return .tooShort }
        return takesType(view) && !isBarred(view) && !isAlreadyCoded(view) ? .compressible : []
    }

    private func isAlreadyCoded(_ view: RequestView) -> Bool {
        for coding: StaticString in ["gzip", "deflate", "br", "zstd", "compress"]
        where FieldText.has(coding, in: "transfer-encoding", view) { return true }
        return false
    }
}

/// What a head says about compression.
package struct CompressionVerdict: OptionSet, Sendable, Equatable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let compressible = CompressionVerdict(rawValue: 1)
    package static let tooShort = CompressionVerdict(rawValue: 2)
    package static let hasETag = CompressionVerdict(rawValue: 4)
}

/// Which messages of one direction are decompressed.
package struct DecompressionRules: Sendable, Equatable {
    package var isEnabled = true
    /// `cache-control: no-transform` does not stop it.
    package var ignoresNoTransform = false

    package init() {}

    /// Whether the message's outermost coding is this one, and may be undone.
    package func takes(_ token: ByteRun, _ view: RequestView) -> Bool {
        guard isEnabled, ignoresNoTransform || !FieldText.has("no-transform", in: "cache-control", view),
            let last = Self.codings(view).last
        else { return false }
        return last.equalsIgnoringCase(token)
    }

    /// The codings of a message in the order in which they were applied.
    package static func codings(_ view: RequestView) -> [ByteRun] {
        FieldText.values(FieldText.run("content-encoding"), view).flatMap { FieldText.elements($0) }
    }

    /// What is left of `content-encoding` when the outermost is undone; nil: nothing.
    package static func rest(_ view: RequestView) -> [UInt8]? {
        let inner = codings(view).dropLast()
        guard !inner.isEmpty else { return nil }
        return Array(inner.map { Array($0.buffer) }.joined(separator: Array(", ".utf8)))
    }

    /// `accept-encoding` with one more coding, which stands in it once; nil when it is there already.
    package static func advertising(_ token: ByteRun, _ view: RequestView) -> [UInt8]? {
        let values = FieldText.values(FieldText.run("accept-encoding"), view)
        // One with a weight is replaced: this hop takes it without reserve.
        let others = values.flatMap { FieldText.elements($0) }.filter { element in
            let name = element.first(element.firstIndex(of: 0x3B) ?? element.count).trimmed
            return !name.equalsIgnoringCase(token)
        }
        return Array((others + [token]).map { Array($0.buffer) }.joined(separator: Array(",".utf8)))
    }
}

/// What happens to header fields when a body is compressed.
package enum CompressionFields {
    /// `vary` with `accept-encoding` in it; nil when it says so already.
    package static func vary(_ view: RequestView) -> [UInt8]? {
        let values = FieldText.values(FieldText.run("vary"), view)
        if FieldText.has("accept-encoding", in: "vary", view) || FieldText.has("*", in: "vary", view) { return nil }
        let all = values.filter { !$0.isEmpty }.map { Array($0.buffer) } + [Array("Accept-Encoding".utf8)]
        return Array(all.joined(separator: Array(", ".utf8)))
    }

    /// What becomes of an `etag`.
    package enum ETag: Equatable {
        case stays, goes
        case becomes([UInt8])
    }

    package static func etag(_ view: RequestView, weakens: Bool) -> ETag {
        guard let value = view.value(of: FieldText.run("etag")), !value.isEmpty else { return .stays }
        if value.hasPrefix(FieldText.run("W/")) || value.hasPrefix(FieldText.run("w/")) { return .stays }
        return weakens ? .becomes(Array("W/".utf8) + Array(value.buffer)) : .goes
    }
}
