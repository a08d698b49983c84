import Bytes
import Glibc
import Wire

/// One repository of one registry, for one pull: knows how it wants to be spoken to, and who it takes us for. Its calls block.
///
/// Safe from several threads; each brings a caller of its own.
final class RegistrySession: Sendable {
    private struct State {
        var scheme: String?
        /// The value of `Authorization`.
        var authorization: String?
    }

    let endpoint: RegistryEndpoint
    let reference: ImageReference
    private let credential: RegistryCredential?
    private let configuration: ImageConfiguration
    private let allowsPlainHTTP: Bool
    private let state = Lock(State())
    private let name: String

    init(
        _ endpoint: RegistryEndpoint,
        _ reference: ImageReference,
        _ credential: RegistryCredential?,
        _ configuration: ImageConfiguration,
        allowsPlainHTTP: Bool
    ) {
        self.endpoint = endpoint
        self.reference = reference
        self.credential = credential
        self.configuration = configuration
        self.allowsPlainHTTP = allowsPlainHTTP
        name = reference.familiar
    }

    // MARK: Texts

    /// A manifest by its tag or digest, with its sum. What is asked for by its digest has that sum.
    func manifest(
        _ caller: HTTPCaller,
        _ word: String,
        _ cancellation: Cancellation
    ) throws(ImageError) -> (bytes: [UInt8], digest: Digest) {
        let target = "/v2/\(reference.path)/manifests/\(word)"
        let bytes = try text(caller, target, accepts: Manifest.accepted, limit: Manifest.mostBytes, cancellation)
        let digest = Digest(of: bytes)
        if let wanted = Digest(word), wanted != digest {
            throw ImageError(
                .pull,
                "\(endpoint.host) sent a damaged manifest of \(name): \(digest) in place of \(wanted)"
            )
        }
        return (bytes, digest)
    }

    /// A small blob, such as a configuration.
    func blob(
        _ caller: HTTPCaller,
        _ descriptor: Descriptor,
        limit: Int,
        _ cancellation: Cancellation
    ) throws(ImageError) -> [UInt8] {
        let target = "/v2/\(reference.path)/blobs/\(descriptor.digest)"
        let bytes = try text(caller, target, accepts: [], limit: limit, cancellation)
        guard Int64(bytes.count) == descriptor.size, Digest(of: bytes) == descriptor.digest else {
            throw ImageError(.pull, "\(endpoint.host) sent a damaged blob of \(name): it is not \(descriptor.digest)")
        }
        return bytes
    }

    private func text(
        _ caller: HTTPCaller,
        _ target: String,
        accepts: [String],
        limit: Int,
        _ cancellation: Cancellation
    ) throws(ImageError) -> [UInt8] {
        try Retry.run(cancellation) { () throws(Retry.Trouble) in
            let body = HTTPCaller.Body(limit)
            let head: HTTPHead
            do throws(Retry.Trouble) {
                head = try self.get(caller, target, accepts: accepts, from: 0) { _, piece in body.add(piece) }
            } catch {
                if body.isFull {
                    throw Retry.Trouble(
                        ImageError(.pull, "\(self.endpoint.host) sent more than \(limit) bytes for \(self.name)")
                    )
                }
                throw error
            }
            guard head.status == 200 else { throw self.refusal(head, body.bytes) }
            return body.bytes
        }
    }

    // MARK: Layers

    /// Fetches a layer into a file; goes on where a try broke off, when the registry can.
    func download(
        _ caller: HTTPCaller,
        _ descriptor: Descriptor,
        to file: String,
        _ cancellation: Cancellation,
        progress: @escaping (Int64) -> Void
    ) throws(ImageError) {
        let part = try PartialFile(file, descriptor)
        let target = "/v2/\(reference.path)/blobs/\(descriptor.digest)"
        var damaged = 0
        while true {
            try Retry.run(cancellation) { () throws(Retry.Trouble) in
                part.beginAnswer()
                let error = HTTPCaller.Body(16_384)
                let head = try self.get(caller, target, accepts: [], from: part.done) { head, piece in
                    guard head.status == 200 || head.status == 206 else { return error.add(piece) }
                    guard part.take(head, piece) else { return false }
                    progress(part.done)
                    return true
                } trouble: {
                    part.trouble
                }
                if head.status == 416 { part.restart() }
                guard head.status == 200 || head.status == 206 else { throw self.refusal(head, error.bytes) }
                guard part.done == descriptor.size else {
                    throw Retry.Trouble(
                        self.broken("it ended after \(part.done) of \(descriptor.size) bytes"),
                        isPassing: true
                    )
                }
            }
            if part.digest() == descriptor.digest { return }
            // Once may be an accident on the way.
            damaged += 1
            guard damaged < 2 else {
                unlink(file)
                throw ImageError(
                    .pull,
                    "\(endpoint.host) sent a damaged layer of \(name): its bytes do not sum up to \(descriptor.digest)"
                )
            }
            part.restart()
        }
    }

    private func broken(_ why: String) -> ImageError {
        ImageError(.pull, "the transfer of \(name) from \(endpoint.host) broke off: \(why)")
    }

    // MARK: Exchanges

    private static let mostRedirects = 5

    /// One GET with all that belongs to it: the scheme is found out, tokens are fetched, redirects followed.
    private func get(
        _ caller: HTTPCaller,
        _ target: String,
        accepts: [String],
        from start: Int64,
        sink: @escaping HTTPCaller.Sink,
        trouble: () -> ImageError? = { nil }
    ) throws(Retry.Trouble) -> HTTPHead {
        let scheme = try findScheme(caller)
        let home = PlainURL(scheme: scheme, place: endpoint.host, target: target)
        var url = home
        var hasAuthorized = false
        for _ in 0..<(Self.mostRedirects + 2) {
            var request = self.request(url)
            request.headers = accepts.isEmpty ? [] : ["Accept: \(accepts.joined(separator: ", "))"]
            if start > 0 { request.headers.append("Range: bytes=\(start)-") }
            // Who is sent elsewhere does not show there what was meant for here.
            if url.isSameOrigin(home), let authorization = state.withLock({ $0.authorization }) {
                request.headers.append("Authorization: \(authorization)")
            }
            let head: HTTPHead
            do throws(HTTPCaller.Failure) {
                head = try caller.send(request) { head, piece in
                    // Texts of refusals that are dealt with here are nobody's.
                    [301, 302, 303, 307, 308, 401].contains(head.status) || sink(head, piece)
                }
            } catch {
                if let own = trouble() { throw Retry.Trouble(own) }
                throw failure(error)
            }
            switch head.status {
            case 401 where !hasAuthorized && url.isSameOrigin(home):
                hasAuthorized = true
                try authorize(caller, head)
            case 301, 302, 303, 307, 308:
                guard let location = head.first("location"), let next = url.following(location) else {
                    throw Retry.Trouble(broken("it leads elsewhere without saying where"))
                }
                guard next.scheme == "https" || isPlainAllowed(next.place) else {
                    throw Retry.Trouble(broken("it leads to \(next.place) without TLS, which is refused"))
                }
                url = next
            default: return head
            }
        }
        throw Retry.Trouble(broken("it leads elsewhere more than \(Self.mostRedirects) times"))
    }

    private func isPlainAllowed(_ place: String) -> Bool {
        RegistryEndpoint.isLoopback(place) || configuration.registry(place).isInsecure
            || place == endpoint.host && allowsPlainHTTP
    }

    private func request(_ url: PlainURL) -> HTTPCaller.Request {
        var request = HTTPCaller.Request(url: url.text)
        request.caFile = endpoint.caFile
        request.isDirect = RegistryEndpoint.isLoopback(url.place)
        return request
    }

    private func failure(_ failure: HTTPCaller.Failure) -> Retry.Trouble {
        let kind: ImageError.Kind =
            switch failure.cause {
            case .unreachable, .timedOut, .tls: .unavailable
            case .stopped: .cancelled
            default: .pull
            }
        let why =
            failure.cause == .tls && !endpoint.schemes.contains("http")
            ? "\(failure.message); name its authority, or allow plain HTTP (docs/images.md)" : failure.message
        return Retry.Trouble(
            ImageError(kind, "image \(name): \(endpoint.host): \(why)"),
            isPassing: failure.isPassing,
            isUnreachable: failure.cause == .unreachable
        )
    }

    /// Whether the registry speaks TLS: the question that all registries answer tells.
    private func findScheme(_ caller: HTTPCaller) throws(Retry.Trouble) -> String {
        if let known = state.withLock({ $0.scheme }) { return known }
        var last: Retry.Trouble?
        for scheme in endpoint.schemes {
            let url = PlainURL(scheme: scheme, place: endpoint.host, target: "/v2/")
            do throws(HTTPCaller.Failure) {
                let head = try caller.fetch(request(url), limit: 65_536).head
                // What servers of TLS say to those who speak plainly.
                if head.status == 400, scheme == "http", endpoint.schemes.count > 1 { continue }
                state.withLock { $0.scheme = scheme }
                if head.status == 401 { try authorizeAhead(caller, head) }
                return scheme
            } catch {
                last = failure(error)
                guard [.tls, .broken, .unreachable].contains(error.cause) else { break }
            }
        }
        throw last ?? Retry.Trouble(broken("it answers neither to HTTP nor to TLS"))
    }

    /// A token that is refused is told of when it is needed.
    private func authorizeAhead(_ caller: HTTPCaller, _ head: HTTPHead) throws(HTTPCaller.Failure) {
        do throws(Retry.Trouble) { try authorize(caller, head) } catch { state.withLock { $0.authorization = nil } }
    }

    // MARK: Tokens

    private func authorize(_ caller: HTTPCaller, _ head: HTTPHead) throws(Retry.Trouble) {
        let challenges = head.all("www-authenticate").flatMap(RegistryChallenge.parse)
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            let token = try token(caller, bearer)
            state.withLock { $0.authorization = "Bearer \(token)" }
        } else if challenges.contains(where: { $0.scheme == "basic" }), let credential, !credential.user.isEmpty {
            let packed = Base64.encode(Array("\(credential.user):\(credential.password)".utf8))
            state.withLock { $0.authorization = "Basic \(packed)" }
        } else {
            throw Retry.Trouble(denied)
        }
    }

    private var denied: ImageError {
        let why = credential == nil ? "it wants credentials, and there are none for it" : "the credentials are refused"
        return ImageError(
            .pull,
            "image \(name): \(endpoint.name) does not let us have it: \(why); the image may not exist, or needs an imagePullSecret or 'docker login'",
            isDenied: true
        )
    }

    private static let mostTokenBytes = 65_536

    private func token(_ caller: HTTPCaller, _ challenge: RegistryChallenge) throws(Retry.Trouble) -> String {
        guard let text = challenge.parameters["realm"], let realm = PlainURL(text),
            realm.scheme == "https" || isPlainAllowed(realm.place)
        else {
            let text = challenge.parameters["realm"] ?? ""
            throw Retry.Trouble(
                ImageError(.pull, "image \(name): \(endpoint.host) wants a token from '\(text)', which is no https URL")
            )
        }
        let scope = challenge.parameters["scope"] ?? "repository:\(reference.path):pull"
        var items = [("scope", scope)]
        if let service = challenge.parameters["service"] { items.insert(("service", service), at: 0) }
        var request = self.request(realm)
        // The authority of the registry may be of its own making; that of another host is not.
        if realm.place != endpoint.host, !RegistryEndpoint.isLoopback(realm.place) {
            request.caFile = configuration.registry(realm.place).caFile
        }
        if let credential, !credential.identityToken.isEmpty {
            items += [
                ("grant_type", "refresh_token"), ("refresh_token", credential.identityToken), ("client_id", "weft"),
            ]
            request.body = Array(Self.form(items).utf8)
        } else {
            request.url += (realm.target.contains("?") ? "&" : "?") + Self.form(items)
            if let credential, !credential.user.isEmpty {
                let packed = Base64.encode(Array("\(credential.user):\(credential.password)".utf8))
                request.headers.append("Authorization: Basic \(packed)")
            }
        }
        let answer: (head: HTTPHead, body: [UInt8])
        do throws(HTTPCaller.Failure) { answer = try caller.fetch(request, limit: Self.mostTokenBytes) } catch {
            throw failure(error)
        }
        if answer.head.status == 401 || answer.head.status == 403 { throw Retry.Trouble(denied) }
        guard answer.head.status == 200 else { throw refusal(answer.head, answer.body) }
        let value = (try? JSON.parse(answer.body)) ?? .null
        let token = value["token"]?.stringValue ?? value["access_token"]?.stringValue ?? ""
        guard !token.isEmpty, token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Retry.Trouble(ImageError(.pull, "image \(name): \(realm.place) answered without a token"))
        }
        return token
    }

    static func form(_ items: [(String, String)]) -> String {
        items.map { "\(escape($0.0))=\(escape($0.1))" }.joined(separator: "&")
    }

    private static func escape(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                escaped.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
            }
        }
        return escaped
    }

    /// What a registry said in place of what was asked for.
    private func refusal(_ head: HTTPHead, _ body: [UInt8]) -> Retry.Trouble {
        let errors = (try? JSON.parse(body))?["errors"]?.arrayValue ?? []
        let said = errors.first.map { "\($0["code"]?.stringValue ?? ""): \($0["message"]?.stringValue ?? "")" }
        let text = String((said ?? "status \(head.status)").prefix(300))
        if head.status == 401 || head.status == 403 { return Retry.Trouble(denied) }
        if head.status == 404 {
            return Retry.Trouble(
                ImageError(.pull, "image \(name): \(endpoint.name) does not have it (\(text)); is the name right?")
            )
        }
        let isPassing = head.status == 429 || head.status == 408 || head.status == 416 || head.status >= 500
        return Retry.Trouble(
            ImageError(
                head.status >= 500 ? .unavailable : .pull,
                "image \(name): \(endpoint.host) answered \(head.status): \(text)"
            ),
            isPassing: isPassing,
            delay: head.first("retry-after").flatMap { Int($0) }
        )
    }
}

/// A layer on its way in, summed as it comes. Owned by one thread.
private final class PartialFile {
    private let file: OpenDirectory
    private let path: String
    private let descriptor: Descriptor
    private var hasher = Hasher256()
    private(set) var done: Int64 = 0
    /// Why it takes no more.
    private(set) var trouble: ImageError?
    /// Of the answer in work; a new one may begin anew.
    private var head: HTTPHead?

    init(_ path: String, _ descriptor: Descriptor) throws(ImageError) {
        self.path = path
        self.descriptor = descriptor
        guard let file = OpenDirectory(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)) else {
            throw StoreFiles.failure("make", path, errno)
        }
        self.file = file
    }

    /// What comes next is another answer, however alike their heads are.
    func beginAnswer() { head = nil }

    func restart() {
        done = 0
        hasher = Hasher256()
        head = nil
        if ftruncate(file.fd, 0) != 0 || lseek(file.fd, 0, SEEK_SET) != 0 {
            trouble = StoreFiles.failure("write", path, errno)
        }
    }

    /// False when the transfer has to end: `trouble` says why.
    func take(_ head: HTTPHead, _ piece: UnsafeRawBufferPointer) -> Bool {
        if self.head != head {
            let isWhole = head.status == 200
            let range = "bytes \(done)-"
            if isWhole, done > 0 { restart() }
            if !isWhole, head.first("content-range")?.hasPrefix(range) != true {
                trouble = ImageError(.pull, "a registry sent another part of \(descriptor.digest) than was asked for")
            }
            self.head = head
        }
        guard trouble == nil else { return false }
        guard done + Int64(piece.count) <= descriptor.size else {
            trouble = ImageError(
                .pull,
                "a registry sent more than the \(descriptor.size) bytes that \(descriptor.digest) has"
            )
            return false
        }
        do throws(ImageError) { try StoreFiles.write(Array(piece)[...], to: file.fd, path) } catch {
            trouble = error
            return false
        }
        hasher.add(piece)
        done += Int64(piece.count)
        return true
    }

    /// The sum of all that came; the next bytes begin a new one.
    func digest() -> Digest { hasher.finish() }
}
