import CCurl

/// The head of an answer.
struct HTTPHead: Sendable, Equatable {
    var status = 0
    /// Names in lower case.
    private(set) var fields: [(name: String, value: String)] = []

    static func == (left: HTTPHead, right: HTTPHead) -> Bool {
        left.status == right.status && left.fields.elementsEqual(right.fields, by: ==)
    }

    static let mostFields = 200

    func first(_ name: String) -> String? { fields.first { $0.name == name }?.value }
    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    /// Takes a line; a status line begins the head anew, for interim answers come first.
    mutating func add(_ line: String) {
        if line.hasPrefix("HTTP/") {
            let parts = line.split(separator: " ", maxSplits: 2)
            self = HTTPHead()
            status = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
            return
        }
        guard let colon = line.firstIndex(of: ":"), fields.count < Self.mostFields else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        fields.append((line[..<colon].lowercased(), String(value)))
    }
}

/// One who makes requests, one after the other, over a connection that is kept. Blocks; owned by one thread.
final class HTTPCaller {
    struct Request {
        var url: String
        var headers: [String] = []
        var isHead = false
        var body: [UInt8]?
        var unixSocket: String?
        var caFile: String?
        /// No proxy of the environment: the peer is on this machine.
        var isDirect = false
    }

    struct Failure: Error, Sendable, Equatable {
        enum Cause: Sendable, Equatable { case noLibrary, unreachable, timedOut, tls, broken, stopped, other }
        var cause: Cause
        var message: String
        /// Whether another try may go better.
        var isPassing: Bool { [.unreachable, .timedOut, .broken].contains(cause) }
    }

    /// Takes pieces of a body; false ends the exchange.
    typealias Sink = (_ head: HTTPHead, _ piece: UnsafeRawBufferPointer) -> Bool

    private let curl: OpaquePointer?
    private let cancellation: Cancellation

    static let connectMilliseconds = 15_000
    static let stallSeconds = 60

    init(_ cancellation: Cancellation) {
        curl = wcurl_new()
        self.cancellation = cancellation
    }

    deinit { wcurl_free(curl) }

    private final class Exchange {
        var head = HTTPHead()
        let sink: Sink
        let cancellation: Cancellation
        init(_ sink: @escaping Sink, _ cancellation: Cancellation) {
            self.sink = sink
            self.cancellation = cancellation
        }
    }

    /// One exchange; no redirect is followed.
    func send(_ request: Request, sink: @escaping Sink) throws(Failure) -> HTTPHead {
        guard let curl else {
            throw Failure(cause: .noLibrary, message: "libcurl is not installed (Debian: apt-get install libcurl4)")
        }
        let exchange = Exchange(sink, cancellation)
        var hooks = wcurl_hooks()
        // Safety: the exchange outlives the call, on this thread alone.
        hooks.owner = Unmanaged.passUnretained(exchange).toOpaque()
        hooks.head = { owner, line, length in
            guard let owner, let line else { return }
            let bytes = UnsafeRawBufferPointer(start: line, count: length)
            Unmanaged<Exchange>.fromOpaque(owner).takeUnretainedValue().head.add(String(decoding: bytes, as: UTF8.self))
        }
        hooks.body = { owner, bytes, length in
            guard let owner else { return 0 }
            let exchange = Unmanaged<Exchange>.fromOpaque(owner).takeUnretainedValue()
            return exchange.sink(exchange.head, UnsafeRawBufferPointer(start: bytes, count: length)) ? 1 : 0
        }
        hooks.goes_on = { owner in
            guard let owner else { return 0 }
            return Unmanaged<Exchange>.fromOpaque(owner).takeUnretainedValue().cancellation.isCancelled ? 0 : 1
        }
        var message = [CChar](repeating: 0, count: 512)
        let outcome = withExtendedLifetime(exchange) { Self.perform(curl, request, &hooks, &message) }
        guard outcome != wcurl_ok else { return exchange.head }
        let cause: Failure.Cause =
            switch outcome {
            case wcurl_no_library: .noLibrary
            case wcurl_unreachable: .unreachable
            case wcurl_timed_out: .timedOut
            case wcurl_tls: .tls
            case wcurl_broken: .broken
            case wcurl_stopped: .stopped
            default: .other
            }
        let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        throw Failure(cause: cause, message: String(decoding: text, as: UTF8.self))
    }

    private static func perform(
        _ curl: OpaquePointer,
        _ request: Request,
        _ hooks: inout wcurl_hooks,
        _ message: inout [CChar]
    ) -> wcurl_outcome {
        let lines = request.headers.map { $0.utf8CString }
        var storage: [UnsafeMutablePointer<CChar>?] = lines.map { line in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: line.count)
            for (index, byte) in line.enumerated() { copy[index] = byte }
            return copy
        }
        defer { for line in storage { line?.deallocate() } }
        storage.append(nil)
        var native = wcurl_request()
        native.is_head = request.isHead ? 1 : 0
        native.is_direct = request.isDirect ? 1 : 0
        native.connect_milliseconds = connectMilliseconds
        native.stall_seconds = stallSeconds
        let body = request.body ?? []
        return request.url.withCString { url in
            withOptional(request.unixSocket) { socket in
                withOptional(request.caFile) { file in
                    body.withUnsafeBytes { bytes in
                        storage.map { UnsafePointer($0) }.withUnsafeBufferPointer { headers in
                            native.url = url
                            native.unix_socket = socket
                            native.ca_file = file
                            native.headers = headers.baseAddress
                            if request.body != nil {
                                native.body = bytes.baseAddress ?? UnsafeRawPointer(url)
                                native.body_length = bytes.count
                            }
                            return wcurl_perform(curl, &native, &hooks, &message, message.count)
                        }
                    }
                }
            }
        }
    }

    private static func withOptional<Result>(_ text: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
        guard let text else { return body(nil) }
        return text.withCString { body($0) }
    }

    /// One exchange whose whole body is wanted.
    func fetch(_ request: Request, limit: Int) throws(Failure) -> (head: HTTPHead, body: [UInt8]) {
        let text = Body(limit)
        let head: HTTPHead
        do throws(Failure) {
            head = try send(request) { _, piece in text.add(piece) }
        } catch {
            if text.isFull { throw Failure(cause: .other, message: "the answer has more than \(limit) bytes") }
            throw error
        }
        return (head, text.bytes)
    }

    /// A body up to a limit.
    final class Body {
        private(set) var bytes: [UInt8] = []
        private(set) var isFull = false
        private let limit: Int
        init(_ limit: Int) { self.limit = limit }

        func add(_ piece: UnsafeRawBufferPointer) -> Bool {
            guard bytes.count + piece.count <= limit else {
                isFull = true
                return false
            }
            bytes += piece
            return true
        }
    }
}
