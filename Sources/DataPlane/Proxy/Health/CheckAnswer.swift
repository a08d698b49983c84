import HTTP
import Traffic

/// Reads the answer of an HTTP/1 check as it comes.
struct CheckAnswer {
    enum Progress { case waiting, done(keepsConnection: Bool), broken }

    /// Heads larger than this are refused.
    static let headLimit = 60 * 1024

    private(set) var status: Int64 = 0
    private(set) var fields: [String: String] = [:]
    private(set) var body: [UInt8] = []
    private var pending: [UInt8] = []
    private var head: ResponseHead?
    private var decoder = ChunkedDecoder()
    private var left: UInt64 = 0
    private let limit: Int
    private let method: RequestMethod

    init(limit: Int, method: RequestMethod) {
        self.limit = limit
        self.method = method
    }

    mutating func take(_ bytes: [UInt8], _ table: inout FieldTable) -> Progress {
        pending += bytes
        while head == nil {
            switch parseHead(&table) {
            case .incomplete: return pending.count > Self.headLimit ? .broken : .waiting
            case .failed: return .broken
            case .complete: break
            }
        }
        return takeBody()
    }

    private mutating func parseHead(_ table: inout FieldTable) -> HeadOutcome {
        var parsed = ResponseHead()
        var limits = HeadLimits()
        limits.fields = FieldTable.capacity
        let outcome = pending.withUnsafeBytes { raw -> HeadOutcome in
            guard let start = raw.baseAddress else { return .incomplete }
            return parsed.parse(start, count: raw.count, limits: limits, request: method, fields: &table)
        }
        guard outcome == .complete else { return outcome }
        if parsed.isInterim {
            pending.removeFirst(parsed.length)
            return .complete
        }
        status = Int64(parsed.status)
        fields = Self.fields(pending, table)
        pending.removeFirst(parsed.length)
        if case .length(let length) = parsed.framing { left = length }
        head = parsed
        return .complete
    }

    /// The fields of a head by lower-case names.
    static func fields(_ bytes: [UInt8], _ table: borrowing FieldTable) -> [String: String] {
        var found: [String: String] = [:]
        for index in 0..<table.count {
            let field = table.fields[index]
            let name = bytes[Int(field.nameStart)..<Int(field.nameStart + field.nameLength)]
            let value = bytes[Int(field.valueStart)..<Int(field.valueStart + field.valueLength)]
            found[String(decoding: name, as: UTF8.self).lowercased()] = String(decoding: value, as: UTF8.self)
        }
        return found
    }

    private mutating func takeBody() -> Progress {
        guard let head else { return .waiting }
        switch head.framing {
        case .none: return .done(keepsConnection: head.keepsAlive && pending.isEmpty)
        case .length:
            let count = Int(min(left, UInt64(pending.count)))
            keep(pending[..<count])
            pending.removeFirst(count)
            left -= UInt64(count)
            return left > 0 ? .waiting : .done(keepsConnection: head.keepsAlive && pending.isEmpty)
        case .chunked: return takeChunks(head)
        case .untilClose:
            keep(pending[...])
            pending = []
            return .waiting
        }
    }

    private mutating func takeChunks(_ head: ResponseHead) -> Progress {
        var coded = pending
        pending = []
        do throws(HTTPFault) {
            let outcome = coded.withUnsafeMutableBytes { raw -> Result<ChunkedDecoder.Step, HTTPFault>? in
                guard let start = raw.baseAddress else { return nil }
                return Result { () throws(HTTPFault) in try decoder.decode(start, count: raw.count) }
            }
            guard let step = try outcome?.get() else { return .waiting }
            keep(coded[..<step.data])
            guard decoder.isDone else { return .waiting }
            return .done(keepsConnection: head.keepsAlive && step.consumed == coded.count)
        } catch { return .broken }
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        body += bytes.prefix(max(0, limit - body.count))
    }

    /// The connection ended: whether that completes the answer.
    var isCompleteAtEnd: Bool { head?.framing == .untilClose }
}
