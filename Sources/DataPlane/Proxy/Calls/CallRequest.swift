import HTTP
import Traffic

/// What is asked in a call of the proxy's own: a head, and a body that is whole. A value; it may cross threads.
struct CallRequest: Sendable {
    let method: RequestMethod
    /// Start line, Host and fields, each with its line end; what frames the body is added when the call begins.
    private(set) var head: [UInt8] = []
    var body: [UInt8] = []
    /// The whole time until the answer is there, nanoseconds; 0 = no limit. Streams have none.
    var timeout: UInt64 = 0
    /// Bytes of the answer's body, or of one message of a stream; a larger one ends the call.
    var answerLimit = 65_536
    /// By which failures it is tried again. As it stands here, only what no endpoint has seen.
    var retry = RetryPolicy.calls
    /// A call of gRPC: `body` is framed as a message.
    private(set) var isGRPC = false
    /// The head was not made of what may stand in it: the call fails at once.
    private(set) var isMalformed = false

    /// A request of HTTP.
    init(_ method: RequestMethod, _ text: ByteRun, path: ByteRun, authority: ByteRun) {
        self.method = method
        isMalformed =
            !text.isToken || path.isEmpty || !path.isVisible || !authority.isVisible || method == .connect
        guard !isMalformed else { return }
        head.append(contentsOf: text.buffer)
        head.append(0x20)
        head.append(contentsOf: path.buffer)
        head.append(contentsOf: " HTTP/1.1\r\nhost: ".utf8)
        head.append(contentsOf: authority.buffer)
        head.append(contentsOf: "\r\n".utf8)
    }

    /// A call of gRPC with one message.
    init(call path: String, authority: String, message: [UInt8]) {
        self.init(stream: path, authority: authority)
        body = CallFrame.framed(message)
    }

    /// A request of HTTP with a body.
    init(post path: String, authority: String) {
        let post: StaticString = "POST"
        var (path, authority) = (path, authority)
        self = path.withUTF8 { path in
            authority.withUTF8 { authority in
                CallRequest(
                    .post,
                    ByteRun(start: post.utf8Start, count: post.utf8CodeUnitCount),
                    path: ByteRun(UnsafeRawBufferPointer(path)),
                    authority: ByteRun(UnsafeRawBufferPointer(authority))
                )
            }
        }
    }

    /// A stream of gRPC: messages are sent one by one.
    init(stream path: String, authority: String) {
        self.init(post: path, authority: authority)
        isGRPC = true
        head.append(contentsOf: "content-type: application/grpc\r\nte: trailers\r\n".utf8)
    }

    /// Adds a field. False, and nothing is added, where it cannot stand in a head or would say how the body is framed.
    @discardableResult
    mutating func add(_ name: ByteRun, _ value: ByteRun) -> Bool {
        guard name.isToken, let start = name.start, value.isFieldValue else { return false }
        switch FieldName.recognise(start, count: name.count) {
        case .host, .contentLength, .expect: return false
        case let known where known.isHopByHop: return false
        default: break
        }
        head.append(contentsOf: name.buffer)
        head.append(contentsOf: ": ".utf8)
        head.append(contentsOf: value.buffer)
        head.append(contentsOf: "\r\n".utf8)
        return true
    }

    @discardableResult
    mutating func add(_ name: String, _ value: String) -> Bool {
        var (name, value) = (name, value)
        return name.withUTF8 { name in
            value.withUTF8 { value in
                add(ByteRun(UnsafeRawBufferPointer(name)), ByteRun(UnsafeRawBufferPointer(value)))
            }
        }
    }

    /// The bytes to send: the head with its end, and the body.
    func text(isStream: Bool) -> [UInt8] {
        var text = head
        text.reserveCapacity(head.count + body.count + 64)
        if isGRPC {
            // Kept without chunks, as HTTP/2 sends it.
            text.append(contentsOf: "transfer-encoding: chunked\r\n".utf8)
            if !isStream, timeout >= 1_000_000 {
                text.append(contentsOf: "grpc-timeout: \(min(timeout / 1_000_000, 99_999_999))m\r\n".utf8)
            }
        } else if !body.isEmpty || method == .post || method == .put || method == .patch {
            text.append(contentsOf: "content-length: \(body.count)\r\n".utf8)
        }
        text.append(contentsOf: "\r\n".utf8)
        if !isStream { text.append(contentsOf: body) }
        return text
    }
}

extension RetryPolicy {
    /// What the proxy's own calls begin with: another endpoint, where none has seen the request.
    static var calls: RetryPolicy {
        var policy = RetryPolicy()
        policy.conditions = [.connectFailure, .resetBeforeRequest, .refusedStream]
        return policy
    }
}

extension ByteRun {
    /// RFC 9110 section 5.6.2.
    var isToken: Bool {
        count > 0
            && buffer.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60,
                    0x7C, 0x7E:
                    true
                default: false
                }
            }
    }

    /// Neither spaces nor controls.
    var isVisible: Bool { buffer.allSatisfy { $0 > 0x20 && $0 != 0x7F } }

    /// RFC 9110 section 5.5: no controls but the tab.
    var isFieldValue: Bool { buffer.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 } }
}
