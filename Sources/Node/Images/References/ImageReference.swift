/// What people write for an image, read as Docker reads it, or a place on this machine.
///
/// `busybox` means `docker.io/library/busybox:latest`; the first part is a host when it holds a dot or a colon or is `localhost`.
/// `oci:/path[:tag]`, `oci-archive:/path[:tag]` and `docker-archive:/path[:name]` name files; `sha256:` and 64 digits an image that is in
/// the store.
package struct ImageReference: Sendable, Equatable, CustomStringConvertible {
    package enum Transport: String, Sendable, CaseIterable {
        case registry
        case layout = "oci"
        case layoutArchive = "oci-archive"
        case dockerArchive = "docker-archive"
        /// An image of the store, by its digest.
        case identity = "sha256"
    }

    package let transport: Transport
    /// `docker.io`, `registry.local:5000`; empty for files.
    package let host: String
    /// `library/busybox`; for files the absolute path.
    package let path: String
    /// `latest` when nothing is said and there is no digest; for files what stands behind the path, or nil.
    package let tag: String?
    package let digest: Digest?

    /// Longest name without tag and digest.
    package static let mostNameBytes = 255

    /// Reads a reference.
    package static func read(_ text: String) -> Result<ImageReference, ImageError> {
        Result { () throws(ImageError) in try ImageReference(text) }
    }

    /// - Throws: `ImageError` of the kind `invalidName` that says what is wrong.
    package init(_ text: String) throws(ImageError) {
        guard !text.isEmpty else { throw ImageError(.invalidName, "the name of the image is empty") }
        guard text.utf8.count <= 4096 else { throw ImageError(.invalidName, "the name of the image is too long") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Self.wrong(text, "it holds a space or a character that is none of ASCII's")
        }
        for transport in [Transport.layout, .layoutArchive, .dockerArchive]
        where text.hasPrefix("\(transport.rawValue):") {
            self = try Self.file(text, transport)
            return
        }
        if text.hasPrefix("sha256:") {
            guard let digest = Digest(text) else { throw Self.wrong(text, "64 hexadecimal digits follow 'sha256:'") }
            self.init(transport: .identity, host: "", path: "", tag: nil, digest: digest)
            return
        }
        if let scheme = text.firstRange(of: "://") {
            throw Self.wrong(text, "leave out '\(text[..<scheme.upperBound])'")
        }
        self = try Self.named(text)
    }

    private init(transport: Transport, host: String, path: String, tag: String?, digest: Digest?) {
        self.transport = transport
        self.host = host
        self.path = path
        self.tag = tag
        self.digest = digest
    }

    private static func wrong(_ text: String, _ why: String) -> ImageError {
        ImageError(.invalidName, "'\(text)' is no name of an image: \(why)")
    }

    // MARK: Files

    private static func file(_ text: String, _ transport: Transport) throws(ImageError) -> ImageReference {
        let rest = text.dropFirst(transport.rawValue.count + 1)
        guard rest.hasPrefix("/") else {
            throw wrong(text, "an absolute path follows '\(transport.rawValue):'")
        }
        var path = rest
        var tag: String?
        if let colon = rest.firstIndex(of: ":") {
            path = rest[..<colon]
            tag = String(rest[rest.index(after: colon)...])
            guard tag != "" else { throw wrong(text, "nothing follows the last colon") }
        }
        return ImageReference(transport: transport, host: "", path: String(path), tag: tag, digest: nil)
    }

    // MARK: Names

    private static func named(_ text: String) throws(ImageError) -> ImageReference {
        var rest = text[...]
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            let word = rest[rest.index(after: at)...]
            digest = Digest(word)
            guard digest != nil else {
                throw wrong(text, "the digest '\(word)' is not 'sha256:' and 64 lower-case hexadecimal digits")
            }
            rest = rest[..<at]
        }
        var tag: String?
        let lastPart = rest.lastIndex(of: "/").map { rest.index(after: $0) } ?? rest.startIndex
        if let colon = rest[lastPart...].lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        if let tag, !isTag(tag) {
            throw wrong(
                text,
                "the tag '\(tag)' is not 1 to 128 letters, digits, '_', '.' and '-' that begin with a letter, a digit or '_'"
            )
        }
        let (host, path) = split(rest)
        try check(host: host, path: path, text)
        return ImageReference(
            transport: .registry,
            host: host,
            path: path,
            tag: tag ?? (digest == nil ? "latest" : nil),
            digest: digest
        )
    }

    private static func split(_ name: Substring) -> (host: String, path: String) {
        var host = "docker.io"
        var path = String(name)
        if let slash = name.firstIndex(of: "/") {
            let first = name[..<slash]
            if first.contains(".") || first.contains(":") || first == "localhost" {
                host = first.lowercased()
                path = String(name[name.index(after: slash)...])
            }
        }
        if host == "index.docker.io" || host == "registry-1.docker.io" { host = "docker.io" }
        if host == "docker.io", !path.contains("/") { path = "library/" + path }
        return (host, path)
    }

    private static func check(host: String, path: String, _ text: String) throws(ImageError) {
        guard isPlace(host) else { throw wrong(text, "'\(host)' is no host, nor a host and a port") }
        guard host.utf8.count + path.utf8.count + 1 <= mostNameBytes else {
            throw wrong(text, "the name has more than \(mostNameBytes) bytes")
        }
        if path != path.lowercased() { throw wrong(text, "capital letters are allowed in tags only") }
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            if part.isEmpty { throw wrong(text, "a part of its path is empty") }
            guard isComponent(part) else {
                throw wrong(
                    text,
                    "'\(part)' is not letters and digits, with '.', '_', '__' or '-' between them"
                )
            }
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func isTag(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard (1...128).contains(bytes.count), bytes[0] != 0x2E, bytes[0] != 0x2D else { return false }
        return bytes.allSatisfy { isAlphanumeric($0 | 0x20) || isAlphanumeric($0) || [0x5F, 0x2E, 0x2D].contains($0) }
    }

    /// Alphanumeric runs, with one dot, one or two underscores or any number of dashes between two of them.
    private static func isComponent(_ text: Substring) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        var between: [UInt8] = []
        for byte in bytes {
            if isAlphanumeric(byte) {
                let isAllowed =
                    between.isEmpty || between == [0x2E] || between == [0x5F] || between == [0x5F, 0x5F]
                    || between.allSatisfy { $0 == 0x2D }
                guard isAllowed else { return false }
                between = []
            } else {
                guard [0x2E, 0x5F, 0x2D].contains(byte) else { return false }
                between.append(byte)
            }
        }
        return true
    }

    /// A host name or an address, and a port.
    static func isPlace(_ text: String) -> Bool {
        var host = text[...]
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let inside = text[text.index(after: text.startIndex)..<end]
            let isAddress = !inside.isEmpty && inside.allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
            let port = text[text.index(after: end)...]
            return isAddress && (port.isEmpty || port.hasPrefix(":") && isPort(port.dropFirst()))
        }
        if let colon = text.lastIndex(of: ":") {
            guard isPort(text[text.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        return !host.isEmpty
            && host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                !label.isEmpty && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D } && !label.hasPrefix("-")
                    && !label.hasSuffix("-")
            }
    }

    private static func isPort(_ text: some StringProtocol) -> Bool {
        guard text.utf8.count <= 5, let port = Int(text), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return false
        }
        return (1...65535).contains(port)
    }

    // MARK: Forms

    /// Host and path without tag and digest: `docker.io/library/busybox`.
    package var name: String { transport == .registry ? "\(host)/\(path)" : "\(transport.rawValue):\(path)" }

    /// Host, path, tag and digest: by this the store knows it.
    package var description: String {
        if transport == .identity { return digest?.description ?? "" }
        return name + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// As people write it: without `docker.io/library/`.
    package var familiar: String {
        let text = description
        for prefix in ["docker.io/library/", "docker.io/"] where text.hasPrefix(prefix) {
            return String(text.dropFirst(prefix.count))
        }
        return text
    }

    /// Images of this machine alone, which podman calls `localhost/NAME`: no registry is asked.
    package var isLocalOnly: Bool { transport != .registry || host == "localhost" }
}
