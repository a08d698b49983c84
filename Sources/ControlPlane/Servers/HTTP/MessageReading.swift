import HTTP

/// Turns what the HTTP room parsed into values for code that is not hot.
enum MessageReading {
    static func request(_ base: UnsafeRawPointer, _ head: RequestHead, _ fields: borrowing FieldTable) -> HTTPRequest {
        let method = text(base, head.methodStart, head.methodLength)
        let target = text(base, head.pathStart, head.pathLength)
        return HTTPRequest(method, target.isEmpty ? "/" : target, headers: headers(base, fields))
    }

    static func headers(_ base: UnsafeRawPointer, _ fields: borrowing FieldTable) -> HTTPFields {
        var headers = HTTPFields()
        for index in 0..<fields.count {
            let field = fields.fields[index]
            headers.add(text(base, field.nameStart, field.nameLength), text(base, field.valueStart, field.valueLength))
        }
        return headers
    }

    private static func text(_ base: UnsafeRawPointer, _ start: UInt32, _ length: UInt32) -> String {
        String(decoding: UnsafeRawBufferPointer(start: base + Int(start), count: Int(length)), as: UTF8.self)
    }

    /// Decodes what has come of a chunked body: afterwards `step.data` bytes of it stand at the front of `input`.
    static func decode(_ chunks: inout ChunkedDecoder, _ input: inout [UInt8]) throws(HTTPFault) -> ChunkedDecoder.Step
    {
        var result: Result<ChunkedDecoder.Step, HTTPFault>?
        input.withUnsafeMutableBytes { bytes in
            // An empty array has no address; a decoder that is given nothing does nothing.
            var empty: UInt8 = 0
            withUnsafeMutableBytes(of: &empty) { nothing in
                guard let base = bytes.baseAddress ?? nothing.baseAddress else { return }
                do throws(HTTPFault) {
                    result = .success(try chunks.decode(base, count: bytes.count))
                } catch {
                    result = .failure(error)
                }
            }
        }
        guard let result else { throw .badChunkSize }
        return try result.get()
    }

    /// A target that can be written as it is: visible ASCII only, so that no second line or request can hide in it.
    static func isSafe(target: String) -> Bool {
        !target.isEmpty && target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    static func isSafe(method: String) -> Bool {
        !method.isEmpty && method.utf8.allSatisfy { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A }
    }

    /// A field that can be written as it is: no line end can hide in it.
    static func isSafe(_ entry: HTTPFields.Entry) -> Bool {
        !entry.name.isEmpty && !entry.name.utf8.contains { $0 <= 0x20 || $0 == 0x3A || $0 >= 0x7F }
            && !entry.value.utf8.contains { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }
    }
}
