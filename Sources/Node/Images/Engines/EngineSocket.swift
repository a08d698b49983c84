import Glibc
import Wire

/// The storage of podman or Docker, asked over its API socket. Its calls block.
struct EngineSocket: Sendable {
    let path: String
    /// `/v1.41`.
    let version: String

    /// What an engine has of an image.
    struct Found: Sendable {
        var imageID: Digest?
    }

    private static let mostAnswer = 8 << 20

    /// Nil when nobody answers there.
    init?(_ path: String, _ caller: HTTPCaller) {
        guard access(path, R_OK | W_OK) == 0 else { return nil }
        self.path = path
        guard let ping = try? caller.fetch(Self.request(path, "/_ping"), limit: 4096), ping.head.status == 200 else {
            return nil
        }
        // Every version from 1.24 to 1.52 knows the two calls that are made: the engine's own is the safest.
        var version = ping.head.first("api-version") ?? ""
        if version.isEmpty, let answer = try? caller.fetch(Self.request(path, "/version"), limit: Self.mostAnswer) {
            version = (try? JSON.parse(answer.body))?["ApiVersion"]?.stringValue ?? ""
        }
        let isPlain = !version.isEmpty && version.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
        self.version = isPlain ? "/v\(version)" : ""
    }

    private static func request(_ socket: String, _ target: String) -> HTTPCaller.Request {
        var request = HTTPCaller.Request(url: "http://engine\(target)")
        request.unixSocket = socket
        request.isDirect = true
        return request
    }

    /// Names under which engines may know an image: podman keeps the full one, Docker the short one.
    private static func names(of reference: ImageReference) -> [String] {
        reference.familiar == reference.description
            ? [reference.description] : [reference.description, reference.familiar]
    }

    /// The image, when the engine has it for this platform.
    func find(
        _ reference: ImageReference,
        _ platform: Platform,
        _ caller: HTTPCaller
    ) -> (name: String, imageID: Digest?)? {
        for name in Self.names(of: reference) {
            let target = "\(version)/images/\(Self.escape(name))/json"
            guard let answer = try? caller.fetch(Self.request(path, target), limit: Self.mostAnswer),
                answer.head.status == 200, let value = try? JSON.parse(answer.body)
            else { continue }
            var own = Platform(
                os: value["Os"]?.stringValue ?? "linux",
                architecture: value["Architecture"]?.stringValue ?? platform.architecture
            )
            own.variant = value["Variant"]?.stringValue ?? ""
            guard platform.fitness(of: own) != nil else { continue }
            let id = value["Id"]?.stringValue ?? ""
            return (name, Digest(id.hasPrefix("sha256:") ? id : "sha256:\(id)"))
        }
        return nil
    }

    /// Writes the image's archive to a file.
    func export(
        _ name: String,
        to file: String,
        limit: Int64,
        _ caller: HTTPCaller,
        progress: @escaping (Int64) -> Void
    ) throws(ImageError) -> Int64 {
        guard let output = OpenDirectory(open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)) else {
            throw StoreFiles.failure("make", file, errno)
        }
        let spool = Spool(output, file, limit)
        let head: HTTPHead
        do throws(HTTPCaller.Failure) {
            head = try caller.send(Self.request(path, "\(version)/images/\(Self.escape(name))/get")) { head, piece in
                guard head.status == 200 else { return true }
                guard spool.add(piece) else { return false }
                progress(spool.count)
                return true
            }
        } catch {
            throw spool.trouble
                ?? ImageError(error.cause == .stopped ? .cancelled : .pull, "image \(name): \(path): \(error.message)")
        }
        guard head.status == 200 else {
            throw ImageError(.pull, "image \(name): the engine at \(path) answered \(head.status)")
        }
        return spool.count
    }

    /// Slashes in names stay: engines take them so.
    private static func escape(_ name: String) -> String {
        name.replacing("@", with: "%40")
    }

    private final class Spool {
        private let file: OpenDirectory
        private let path: String
        private let limit: Int64
        private(set) var count: Int64 = 0
        private(set) var trouble: ImageError?

        init(_ file: OpenDirectory, _ path: String, _ limit: Int64) {
            self.file = file
            self.path = path
            self.limit = limit
        }

        func add(_ piece: UnsafeRawBufferPointer) -> Bool {
            guard count + Int64(piece.count) <= limit else {
                trouble = ImageError(
                    .pull,
                    "an engine sent more than \(limit) bytes, which is refused (imageBytes of images.yaml)"
                )
                return false
            }
            do throws(ImageError) { try StoreFiles.write(Array(piece)[...], to: file.fd, path) } catch {
                trouble = error
                return false
            }
            count += Int64(piece.count)
            return true
        }
    }
}

extension ImageStore {
    /// Takes the image from the first engine that has it; nil when none has.
    func fetchFromEngines(
        _ reference: ImageReference,
        _ platform: Platform,
        isPinned: Bool,
        _ fan: ProgressFan
    ) async throws(ImageError) -> Pulled? {
        let (sockets, limits) = (settings.engineSockets, try configuration().limits)
        guard !sockets.isEmpty else { return nil }
        let found = try await WorkThread.run { (cancellation) throws(ImageError) -> Holder? in
            let caller = HTTPCaller(cancellation)
            for path in sockets {
                guard let engine = EngineSocket(path, caller) else { continue }
                if let own = engine.find(reference, platform, caller) {
                    return Holder(engine: engine, name: own.name, imageID: own.imageID)
                }
            }
            return nil
        }
        guard let found else { return nil }
        let origin = ImageOrigin.engine(found.engine.path)
        // What is here already only gets the name.
        if let id = found.imageID, index.images[id] != nil {
            try addName(reference.description, to: id)
            return Pulled(imageID: id, origin: origin, bytes: 0, duration: .zero)
        }
        fan.tell(.resolved(reference: reference.description, source: found.engine.path))
        let scratch = try files.scratch()
        defer {
            files.discard(scratch)
            emptyTrash()
        }
        let file = "\(scratch)/export.tar"
        do throws(ImageError) {
            let bytes = try await WorkThread.run { (cancellation) throws(ImageError) in
                var told: Int64 = 0
                return try found.engine.export(found.name, to: file, limit: limits.imageBytes, HTTPCaller(cancellation))
                { done in
                    guard done - told >= 8 << 20 else { return }
                    told = done
                    fan.tell(.downloading(layer: "export", done: done, total: 0))
                }
            }
            let ids = try await load(
                file,
                wanted: nil,
                name: reference.description,
                platform: platform,
                isPinned: isPinned,
                origin: origin,
                fan
            )
            guard let id = ids.first else { return nil }
            return Pulled(imageID: id, origin: origin, bytes: bytes, duration: .zero)
        } catch {
            if error.kind == .cancelled || error.kind == .store { throw error }
            // The registry may do better.
            fan.tell(.note("\(found.engine.path): \(error.message)"))
            return nil
        }
    }

    private struct Holder: Sendable {
        let engine: EngineSocket
        let name: String
        let imageID: Digest?
    }

    private func addName(_ name: String, to id: Digest) throws(ImageError) {
        guard index.images[id]?.names.contains(name) == false else { return }
        var new = index
        for other in Array(new.images.keys) { new.images[other]?.names.removeAll { $0 == name } }
        new.images[id]?.names.append(name)
        try save(new)
    }
}
