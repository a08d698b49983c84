import Compression

/// Packs large answers for clients that can unpack them: lists are mostly words that come again and again.
enum AnswerPacking {
    /// Smaller answers are faster as they are; Kubernetes' number.
    static let threshold = 128 << 10

    /// The answer as this client is to get it.
    static func packed(_ response: HTTPResponse, for request: HTTPRequest) -> HTTPResponse {
        guard request.method == "GET", case .bytes(let bytes) = response.body, bytes.count > threshold,
            response.headers["Content-Encoding"] == nil
        else { return response }
        var response = response
        response.headers.add("Vary", "Accept-Encoding")
        guard takesGzip(request), let packed = gzip(bytes) else { return response }
        response.headers["Content-Encoding"] = "gzip"
        response.body = .bytes(packed)
        return response
    }

    /// Whether `Accept-Encoding` names gzip, and not as what is not wanted.
    private static func takesGzip(_ request: HTTPRequest) -> Bool {
        for entry in request.headers.all("Accept-Encoding").flatMap({ $0.split(separator: ",") }) {
            let parts = entry.split(separator: ";").map { $0.filter { !$0.isWhitespace }.lowercased() }
            guard parts.first == "gzip" else { continue }
            let quality = parts.first { $0.hasPrefix("q=") }.map { $0.dropFirst(2) }
            return quality.map { Double($0) ?? 0 > 0 } ?? true
        }
        return false
    }

    /// Nil when memory is short.
    private static func gzip(_ bytes: [UInt8]) -> [UInt8]? {
        var settings = EncoderSettings(.gzip)
        settings.level = 1
        settings.windowBits = 15
        settings.memoryLevel = 8
        guard let encoder = ContentEncoder(settings) else { return nil }
        var packed: [UInt8] = []
        var room = [UInt8](repeating: 0, count: 64 << 10)
        var place = 0
        while true {
            let step = bytes.withUnsafeBytes { input in
                room.withUnsafeMutableBytes { output in
                    encoder.step(.init(rebasing: input[place...]), into: output, flushes: false, isLast: true)
                }
            }
            packed += room[..<step.made]
            place += step.taken
            switch step.outcome {
            case .done: return packed
            case .full: continue
            default: return nil
            }
        }
    }
}
