/// How a call ended (grpc.io, "Status codes").
package struct GRPCStatus: Error, Sendable, Equatable {
    package enum Code: Int, Sendable, CaseIterable {
        case ok = 0
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case internalError = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String = "") {
        self.code = code
        self.message = message
    }

    package static let ok = GRPCStatus(.ok)

    /// The lines of the trailers. What is not visible ASCII in the message is percent-encoded.
    var trailers: String {
        var text = "grpc-status: \(code.rawValue)\r\n"
        guard !message.isEmpty else { return text }
        text += "grpc-message: "
        for byte in message.utf8.prefix(2048) {
            if (0x20...0x7E).contains(byte), byte != 0x25 {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                text += "%" + (digits.count == 1 ? "0" : "") + digits
            }
        }
        return text + "\r\n"
    }
}

/// Cuts the bytes of a stream into messages: a flag, a length of four bytes, the message.
struct GRPCDeframer {
    private let limit: Int
    private var bytes: [UInt8] = []
    private var start = 0

    init(limit: Int) { self.limit = limit }

    /// Bytes that are held and belong to no whole message yet.
    var held: Int { bytes.count - start }

    mutating func append(_ new: UnsafeRawBufferPointer) {
        if start > 65_536 {
            bytes.removeFirst(start)
            start = 0
        }
        bytes.append(contentsOf: new)
    }

    /// The next whole message, or nil.
    ///
    /// - Throws: `GRPCStatus` for a message that is too long or compressed.
    mutating func next() throws(GRPCStatus) -> [UInt8]? {
        guard held >= 5 else { return nil }
        guard bytes[start] == 0 else {
            throw GRPCStatus(.unimplemented, "messages must not be compressed (grpc-encoding: identity)")
        }
        let length = bytes[start + 1..<start + 5].reduce(0) { $0 << 8 | Int($1) }
        guard length <= limit else {
            throw GRPCStatus(.resourceExhausted, "a message of \(length) bytes is longer than \(limit)")
        }
        guard held >= 5 + length else { return nil }
        let message = Array(bytes[start + 5..<start + 5 + length])
        start += 5 + length
        if start == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 65_536)
            start = 0
        }
        return message
    }

    /// What stands before a message.
    static func head(_ count: Int) -> [UInt8] {
        [0] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }
    }
}
