import HTTP

/// What became of some bytes, in a form that tests can write down.
enum Outcome: Equatable, Sendable, CustomStringConvertible {
    case accepted(String)
    case refused(UInt16)
    case incomplete

    var description: String {
        switch self {
        case .accepted(let text): "accepted \(text)"
        case .refused(let status): "refused \(status)"
        case .incomplete: "incomplete"
        }
    }
}

/// Feeds bytes to the parsers, whole or in pieces.
enum Feeding {
    /// A whole request: `METHOD path authority body-length`, the body decoded.
    static func request(_ bytes: [UInt8], pieces: [Int]? = nil, limits: HeadLimits = HeadLimits()) -> Outcome {
        var head = RequestHead()
        var fields = FieldTable()
        var fed = 0
        for piece in pieces ?? [bytes.count] {
            fed = min(bytes.count, fed + piece)
            let outcome = bytes.withUnsafeBytes { raw -> HeadOutcome in
                guard let base = raw.baseAddress else { return .incomplete }
                return head.parse(base, count: fed, limits: limits, fields: &fields)
            }
            switch outcome {
            case .incomplete: continue
            case .failed(let fault): return .refused(fault.status)
            case .complete:
                let text = { (start: UInt32, length: UInt32) in
                    String(decoding: bytes[Int(start)..<Int(start + length)], as: UTF8.self)
                }
                let method = text(head.methodStart, head.methodLength)
                let path = text(head.pathStart, head.pathLength)
                let authority = text(head.authorityStart, head.authorityLength)
                return body(bytes[head.length...], head.framing, "\(method) \(path) \(authority)")
            }
        }
        return .incomplete
    }

    /// The body behind a head, decoded in two uneven pieces.
    private static func body(_ bytes: ArraySlice<UInt8>, _ framing: Framing, _ start: String) -> Outcome {
        switch framing {
        case .none, .untilClose: return .accepted("\(start) 0")
        case .length(let length): return bytes.count >= length ? .accepted("\(start) \(length)") : .incomplete
        case .chunked: return chunked(Array(bytes), pieces: [3, Int.max]).map { "\(start) \($0.count)" }
        }
    }

    enum Chunks {
        case data([UInt8])
        case fault(HTTPFault)
        case incomplete

        func map(_ transform: ([UInt8]) -> String) -> Outcome {
            switch self {
            case .data(let data): .accepted(transform(data))
            case .fault(let fault): .refused(fault.status)
            case .incomplete: .incomplete
            }
        }
    }

    static func chunked(_ bytes: [UInt8], pieces: [Int]) -> Chunks {
        var decoder = ChunkedDecoder()
        var data: [UInt8] = []
        var position = 0
        for piece in pieces where position < bytes.count {
            var part = Array(bytes[position..<min(bytes.count, position &+ min(piece, bytes.count))])
            var result: Result<ChunkedDecoder.Step, HTTPFault>?
            part.withUnsafeMutableBytes { raw in
                guard let base = raw.baseAddress else { return }
                do throws(HTTPFault) {
                    result = .success(try decoder.decode(base, count: raw.count))
                } catch {
                    result = .failure(error)
                }
            }
            switch result {
            case .success(let step)?:
                data += part[..<step.data]
                position += step.consumed
            case .failure(let fault)?: return .fault(fault)
            case nil: break
            }
            if decoder.isDone { return .data(data) }
        }
        return .incomplete
    }

    /// A response head and what follows it: `status framing`.
    static func response(_ bytes: [UInt8], to method: RequestMethod = .get, pieces: [Int]? = nil) -> Outcome {
        var head = ResponseHead()
        var fields = FieldTable()
        var fed = 0
        for piece in pieces ?? [bytes.count] {
            fed = min(bytes.count, fed + piece)
            let outcome = bytes.withUnsafeBytes { raw -> HeadOutcome in
                guard let base = raw.baseAddress else { return .incomplete }
                return head.parse(base, count: fed, limits: HeadLimits(), request: method, fields: &fields)
            }
            switch outcome {
            case .incomplete: continue
            case .failed: return .refused(502)
            case .complete: return .accepted("\(head.status) \(head.framing)\(head.keepsAlive ? "" : " close")")
            }
        }
        return .incomplete
    }

    /// Ways to cut `count` bytes: each alone, and some at random from a seed.
    static func splits(of count: Int, seed: UInt64) -> [[Int]] {
        var state = seed | 1
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(limit)) + 1
        }
        let cuts = (0..<8).map { _ -> [Int] in
            var pieces: [Int] = []
            var total = 0
            while total < count {
                pieces.append(random(24))
                total += pieces.last ?? 1
            }
            return pieces
        }
        return [Array(repeating: 1, count: count)] + cuts
    }
}
