import Bytes
import HTTP
import Reactor
import Telemetry
import Traffic
import Wire

/// How a piece of a request is shown to a consumer. Secrets are left out here.
struct TapText {
    enum Form: Sendable {
        /// Messages of `envoy.data.tap.v3.TraceWrapper` in JSON.
        case envoy(asString: Bool)
        /// One JSON object a line, with what `weft tap` shows.
        case lines
    }

    let form: Form
    let redaction: TapRedaction
    let isStreaming: Bool
    let recordsTimes: Bool
    let recordsConnection: Bool

    var contentType: String {
        if case .lines = form { return "application/x-ndjson" }
        return "text/plain; charset=UTF-8"
    }

    func bytes(_ piece: TapPiece, _ labels: [LabelSet]) -> [UInt8] {
        let shown = Shown(piece, redaction)
        switch form {
        case .lines:
            return lines(piece, shown, labels).reduce(into: []) { $0 += JSON.bytes($1) + [0x0A] }
        case .envoy(let asString):
            let messages = isStreaming ? segments(piece, shown) : [buffered(piece, shown, asString)]
            return messages.reduce(into: []) { $0 += JSON.bytes($1, pretty: true) + [0x0A, 0x0A] }
        }
    }

    /// The fields of a piece, without secrets.
    private struct Shown {
        var request: [(String, String)] = []
        var response: [(String, String)] = []
        var trailers: [(String, String)] = []

        init(_ piece: TapPiece, _ redaction: TapRedaction) {
            if piece.parts.contains(.request) { request = Self.request(piece) }
            if piece.parts.contains(.response) { response = Self.response(piece) }
            if piece.parts.contains(.end) { trailers = Self.trailers(piece.trailers) }
            func redact(_ fields: inout [(String, String)]) {
                for index in fields.indices { fields[index].1 = redaction.value(fields[index].1, of: fields[index].0) }
            }
            redact(&request)
            redact(&response)
            redact(&trailers)
        }

        private static func text(_ bytes: UnsafeRawPointer, _ start: UInt32, _ count: UInt32) -> String {
            String(decoding: UnsafeRawBufferPointer(start: bytes + Int(start), count: Int(count)), as: UTF8.self)
        }

        private static func fields(_ bytes: UnsafeRawPointer, _ table: borrowing FieldTable) -> [(String, String)] {
            (0..<table.count).compactMap { index in
                let field = table.fields[index]
                guard field.nameLength > 0 else { return nil }
                let name = text(bytes, field.nameStart, field.nameLength).lowercased()
                return (name, text(bytes, field.valueStart, field.valueLength))
            }
        }

        private static func request(_ piece: TapPiece) -> [(String, String)] {
            var table = FieldTable()
            var head = RequestHead()
            var limits = HeadLimits()
            limits.fields = FieldTable.capacity
            limits.rejectsUnderscores = false
            return piece.request.withUnsafeBytes { raw in
                guard let bytes = raw.baseAddress,
                    head.parse(bytes, count: raw.count, limits: limits, fields: &table) == .complete
                else { return [] }
                let pseudo = [
                    (":authority", text(bytes, head.authorityStart, head.authorityLength)),
                    (":path", text(bytes, head.pathStart, head.pathLength)),
                    (":method", text(bytes, head.methodStart, head.methodLength)),
                    (":scheme", piece.isHTTPS ? "https" : "http"),
                ]
                return pseudo + fields(bytes, table).filter { $0.0 != "host" }
            }
        }

        private static func response(_ piece: TapPiece) -> [(String, String)] {
            guard piece.numbers.status > 0 else { return [] }
            let status = [(":status", String(piece.numbers.status))]
            var table = FieldTable()
            var head = ResponseHead()
            return piece.response.withUnsafeBytes { raw in
                guard let bytes = raw.baseAddress else { return status }
                let outcome = head.parse(
                    bytes,
                    count: raw.count,
                    limits: .responses,
                    request: piece.method == 1 ? .head : .get,
                    fields: &table
                )
                return outcome == .complete ? status + fields(bytes, table) : status
            }
        }

        private static func trailers(_ lines: [UInt8]) -> [(String, String)] {
            lines.withUnsafeBytes { raw in
                let run = ByteRun(raw)
                return Worker.places(ofLines: run).map { place in
                    let name = run.dropping(Int(place.nameStart)).first(Int(place.nameLength))
                    let value = run.dropping(Int(place.valueStart)).first(Int(place.valueLength))
                    return (name.text.lowercased(), value.text)
                }
            }
        }
    }

    // MARK: Envoy's messages

    private func list(_ fields: [(String, String)]) -> Value {
        .array(fields.map { ["key": .string($0.0), "value": .string($0.1), "raw_value": ""] })
    }

    /// That there was a body; its bytes are never told.
    private func body(_ bytes: UInt64, _ asString: Bool) -> Value? {
        bytes == 0 ? nil : [asString ? "as_string" : "as_bytes": "", "truncated": true]
    }

    private func buffered(_ piece: TapPiece, _ shown: Shown, _ asString: Bool) -> Value {
        let numbers = piece.numbers
        var request: Value = ["headers": list(shown.request)]
        request["body"] = body(numbers.bytesReceived, asString)
        request["trailers"] = .array([])
        if recordsTimes { request["headers_received_time"] = .string(Self.time(numbers.startTime)) }
        var response: Value = ["headers": list(shown.response)]
        response["body"] = body(numbers.bytesSent, asString)
        response["trailers"] = list(shown.trailers)
        if recordsTimes, numbers.responseTime > 0 {
            response["headers_received_time"] = .string(Self.time(numbers.startTime &+ numbers.responseTime))
        }
        var trace: Value = ["request": request, "response": response]
        if recordsConnection {
            trace["downstream_connection"] = [
                "local_address": Self.address(numbers.local), "remote_address": Self.address(numbers.directRemote),
            ]
        }
        return ["http_buffered_trace": trace]
    }

    private func segments(_ piece: TapPiece, _ shown: Shown) -> [Value] {
        func segment(_ name: String, _ fields: [(String, String)]) -> Value {
            let headers: Value = ["headers": list(fields)]
            let inner = Fields([("trace_id", .string("\(piece.number)")), (name, headers)])
            return ["http_streamed_trace_segment": .object(inner)]
        }
        var segments: [Value] = []
        if piece.parts.contains(.request) { segments.append(segment("request_headers", shown.request)) }
        if piece.parts.contains(.response), !shown.response.isEmpty {
            segments.append(segment("response_headers", shown.response))
        }
        if piece.parts.contains(.end), !shown.trailers.isEmpty {
            segments.append(segment("response_trailers", shown.trailers))
        }
        return segments
    }

    private static func address(_ address: SocketAddress) -> Value {
        ["socket_address": ["address": .string(address.host), "port_value": .int(Int64(address.port))]]
    }

    private static func time(_ nanoseconds: UInt64) -> String {
        CalendarTime.text(nanoseconds: nanoseconds, pattern: nil, isLocal: false)
    }

    // MARK: Lines

    private func lines(_ piece: TapPiece, _ shown: Shown, _ labels: [LabelSet]) -> [Value] {
        let numbers = piece.numbers
        func event(_ name: String, _ offset: UInt64) -> Value {
            var value: Value = [
                "event": .string(name), "id": .string(Self.hexadecimal(piece.number)),
                "time": .string(Self.time(numbers.startTime &+ offset)),
                "source": side(numbers.remote, "", piece.caller, labels),
                "destination": side(
                    numbers.upstream,
                    String(decoding: piece.upstreamName, as: UTF8.self),
                    piece.callee,
                    labels
                ),
                "tls": .bool(piece.isTLS),
            ]
            if !piece.cluster.isEmpty { value["cluster"] = .string(String(decoding: piece.cluster, as: UTF8.self)) }
            if !piece.route.isEmpty { value["route"] = .string(String(decoding: piece.route, as: UTF8.self)) }
            return value
        }
        func headers(_ fields: [(String, String)]) -> Value {
            .array(fields.filter { !$0.0.hasPrefix(":") }.map { .array([.string($0.0), .string($0.1)]) })
        }
        var events: [Value] = []
        if piece.parts.contains(.request) {
            var value = event("request", 0)
            for name in [":method", ":authority", ":path", ":scheme"] {
                let text = shown.request.first { $0.0 == name }?.1 ?? ""
                value[String(name.dropFirst())] = .string(text)
            }
            value["protocol"] = .string(Self.name(of: numbers.version))
            value["headers"] = headers(shown.request)
            events.append(value)
        }
        if piece.parts.contains(.response), numbers.status > 0 {
            let since = numbers.responseTime > 0 ? numbers.responseTime : numbers.duration
            var value = event("response", since)
            value["status"] = .int(Int64(numbers.status))
            value["latency_us"] = .int(Int64(since / 1000))
            value["headers"] = headers(shown.response)
            events.append(value)
        }
        if piece.parts.contains(.end) {
            var value = event("end", numbers.duration)
            value["status"] = .int(Int64(numbers.status))
            value["duration_us"] = .int(Int64(numbers.duration / 1000))
            value["request_bytes"] = .int(Int64(clamping: numbers.bytesReceived))
            value["response_bytes"] = .int(Int64(clamping: numbers.bytesSent))
            value["attempts"] = .int(Int64(numbers.attempts))
            if numbers.grpcStatus >= 0 { value["grpc_status"] = .int(Int64(numbers.grpcStatus)) }
            if !numbers.flags.isEmpty { value["flags"] = .string(numbers.flags.text) }
            value["details"] = .string(String(decoding: piece.details, as: UTF8.self))
            value["trailers"] = headers(shown.trailers)
            events.append(value)
        }
        return events
    }

    private func side(
        _ address: SocketAddress,
        _ name: String,
        _ index: LabelSetIndex,
        _ labels: [LabelSet]
    ) -> Value {
        let set = labels.indices.contains(Int(index)) ? labels[Int(index)] : .empty
        return [
            "address": .string(address.family == 0 ? name : address.description),
            "labels": .object(Fields(set.labels.map { ($0.name, .string($0.value)) })),
        ]
    }

    private static func name(of version: UInt8) -> String {
        switch version {
        case 10: "HTTP/1.0"
        case 20: "HTTP/2"
        default: "HTTP/1.1"
        }
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
