/// Why bytes are no acceptable HTTP/1 message. One enum for requests and responses, trivial so that it costs nothing.
public enum HTTPFault: UInt8, Error, BitwiseCopyable, Sendable, CaseIterable {
    case badStartLine
    case badMethod
    case badTarget
    case badVersion
    case unsupportedVersion
    case badStatus
    case badFieldName
    case badFieldValue
    case badLineEnd
    case fieldWithoutColon
    case targetTooLong
    case headTooLarge
    case tooManyFields
    case underscoreInFieldName
    case missingHost
    case severalHosts
    case badHost
    case badContentLength
    case severalContentLengths
    case badTransferEncoding
    case unknownTransferCoding
    case transferEncodingWithLength
    case transferEncodingInHTTP10
    case badConnection
    case unknownExpectation
    case badUpgrade
    case unsupportedWebSocketVersion
    case badChunkSize
    case badChunkExtension
    case badChunkEnd
    case badTrailer
    case badPath
    case escapedSlash

    /// The status that a server answers with (RFC 9110 section 15.5, RFC 6585 section 5).
    public var status: UInt16 {
        switch self {
        case .targetTooLong: 414
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedVersion: 505
        case .unknownTransferCoding: 501
        case .unknownExpectation: 417
        case .unsupportedWebSocketVersion: 426
        default: 400
        }
    }

    /// In plain words, for answers and logs.
    public var reason: StaticString {
        switch self {
        case .badStartLine: "the start line is malformed"
        case .badMethod: "the method is no token of at most 32 bytes"
        case .badTarget: "the request target is malformed"
        case .badVersion: "the protocol version is malformed"
        case .unsupportedVersion: "only HTTP/1.0 and HTTP/1.1 are spoken here"
        case .badStatus: "the status is not a number from 100 to 599"
        case .badFieldName: "a field name is malformed"
        case .badFieldValue: "a field value holds a control character"
        case .badLineEnd: "a line does not end with CR LF"
        case .fieldWithoutColon: "a field line has no colon directly after its name"
        case .targetTooLong: "the request target is too long"
        case .headTooLarge: "the head is larger than the limit"
        case .tooManyFields: "there are more fields than the limit"
        case .underscoreInFieldName: "a field name holds an underscore"
        case .missingHost: "Host is missing"
        case .severalHosts: "there is more than one Host"
        case .badHost: "Host is malformed"
        case .badContentLength: "Content-Length is not a plain number"
        case .severalContentLengths: "there is more than one Content-Length"
        case .badTransferEncoding: "Transfer-Encoding is malformed"
        case .unknownTransferCoding: "only the transfer coding chunked is understood"
        case .transferEncodingWithLength: "Transfer-Encoding and Content-Length stand together"
        case .transferEncodingInHTTP10: "Transfer-Encoding stands in an HTTP/1.0 message"
        case .badConnection: "Connection is malformed"
        case .unknownExpectation: "only the expectation 100-continue is understood"
        case .badUpgrade: "a WebSocket asks with GET and a key of 16 bytes in base64"
        case .unsupportedWebSocketVersion: "only version 13 of WebSocket is spoken here"
        case .badChunkSize: "a chunk size is malformed"
        case .badChunkExtension: "a chunk extension is malformed or too long"
        case .badChunkEnd: "a chunk does not end with CR LF"
        case .badTrailer: "a trailer field is malformed"
        case .badPath: "the path holds a malformed or forbidden escape"
        case .escapedSlash: "the path holds an escaped slash"
        }
    }
}
