import HTTP
import Traffic

/// What came of a call. A value; it may cross threads.
struct CallAnswer: Sendable {
    /// Of HTTP; 0: no head came.
    var status: UInt16 = 0
    var fields = CallFields()
    var trailers = CallFields()
    var body: [UInt8] = []
    /// Of gRPC, from the head or the trailers; nil: the answer names none.
    var callStatus: Int?
    /// Why there is no whole answer; nil: there is one, whatever it says.
    var failure: StaticString?
    var flags: ResponseFlags = []

    /// The same in words of a log.
    var reason: String? { failure.map { "\($0)" } }

    static func failed(_ reason: StaticString, _ flags: ResponseFlags = []) -> CallAnswer {
        var answer = CallAnswer()
        answer.failure = reason
        answer.flags = flags
        return answer
    }

    /// The one message of a call that went well; nil: it did not, or there is not exactly one.
    var message: [UInt8]? {
        guard failure == nil, callStatus == 0 else { return nil }
        var frame = CallFrame(limit: body.count)
        var found: [[UInt8]] = []
        let isGood = body.withUnsafeBytes { raw in
            do throws(CallFrame.Fault) {
                try frame.take(raw) { found.append($0) }
                return true
            } catch { return false }
        }
        return isGood && found.count == 1 && !frame.isInside ? found[0] : nil
    }

    /// The words of gRPC that stand beside its status, without escapes.
    var callMessage: String {
        let name: StaticString = "grpc-message"
        let run = ByteRun(start: name.utf8Start, count: name.utf8CodeUnitCount)
        let raw = trailers.value(of: run) ?? fields.value(of: run) ?? []
        var text: [UInt8] = []
        var rest = raw[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, rest.count >= 2, let high = Self.digit(rest[rest.startIndex]),
                let low = Self.digit(rest[rest.startIndex + 1])
            {
                text.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}

/// Fields of an answer, in the bytes in which they came.
struct CallFields: Sendable {
    private var bytes: [UInt8] = []
    private var places: [Field] = []

    init() {}

    /// Copies a head, or trailer lines, that were parsed into `table`.
    init(_ memory: UnsafeRawPointer, _ count: Int, _ table: borrowing FieldTable) {
        bytes = Array(UnsafeRawBufferPointer(start: memory, count: count))
        places.reserveCapacity(table.count)
        for index in 0..<table.count where table.names[index] != .dropped {
            let field = table.fields[index]
            guard Int(field.nameStart) + Int(field.nameLength) <= count,
                Int(field.valueStart) + Int(field.valueLength) <= count
            else { continue }
            places.append(field)
        }
    }

    var isEmpty: Bool { places.isEmpty }

    /// Calls `body` with name and value of each. The runs hold for the call alone.
    func forEach(_ body: (_ name: ByteRun, _ value: ByteRun) -> Void) {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return }
            for field in places {
                body(
                    ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength)),
                    ByteRun(start: base + Int(field.valueStart), count: Int(field.valueLength))
                )
            }
        }
    }

    /// The first value of a name, whatever its case.
    func value(of name: ByteRun) -> [UInt8]? {
        var found: [UInt8]?
        forEach { if found == nil, $0.equalsIgnoringCase(name) { found = Array($1.buffer) } }
        return found
    }
}

/// Who waits for a call.
enum CallOwner: Sendable {
    /// A filter of a request that waits: its state is `.calling` until then.
    case step(exchange: Int32, generation: UInt32, step: Int)
    /// The main thread, under a number that it gave.
    case main(UInt64)
    /// Requests that wait for keys, on the same worker.
    case keys(RemoteKeySource)
}

/// Names a call that is on its way, on its worker.
struct CallToken: BitwiseCopyable {
    var exchange: Int32
    var generation: UInt32
}

/// What the main thread hears of its calls and streams.
struct CallEvent: Sendable {
    enum What: Sendable {
        case answered(CallAnswer)
        /// A stream's answer has begun: an endpoint took it.
        case begun(CallFields)
        case message([UInt8])
        /// A stream is over, by either side. `failure` is set where its end did not come from the endpoint.
        case ended(CallAnswer)
    }
    var id: UInt64
    var what: What
}

/// What the main thread wants of a worker's calls and streams.
struct CallCommand: Sendable {
    enum What: Sendable {
        case call(cluster: String, CallRequest)
        case open(cluster: String, CallRequest)
        case send([UInt8])
        /// The owner has dealt with so many bytes of messages.
        case taken(Int)
        /// Nothing more is sent; the endpoint may go on.
        case finish
        /// The owner wants to hear nothing more.
        case cancel
    }
    var id: UInt64
    var what: What
}

/// What an exchange of a call has beside the others.
struct SideCall {
    let owner: CallOwner
    let isStream: Bool
    let limit: Int
    var answer = CallAnswer()
    /// The answer's last byte came.
    var isWhole = false
    // Streams:
    var frame: CallFrame
    /// Framed messages that wait for room in the exchange, and how much of the first of them has gone.
    var outgoing: [[UInt8]] = []
    var outgoingStart = 0
    var waiting = 0
    var isFeeding = false
    /// Nothing follows what waits.
    var isFinishing = false
    /// Bytes of messages that the owner has not dealt with.
    var untaken = 0
}
