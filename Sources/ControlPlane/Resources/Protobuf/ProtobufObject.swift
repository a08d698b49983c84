package import Wire

/// Reads objects that came as `application/vnd.kubernetes.protobuf`.
package enum ProtobufObject {
    package static let mediaType = "application/vnd.kubernetes.protobuf"
    private static let magic: [UInt8] = [0x6b, 0x38, 0x73, 0x00]
    private static let maximumDepth = 40

    /// The object in a body, as the tree that JSON would have given.
    ///
    /// - Throws: `APIError` 400 for what cannot be read, 415 for a kind that is not in the table.
    package static func read(_ body: [UInt8]) throws(APIError) -> Value {
        guard body.starts(with: magic) else {
            throw .badRequest("the body is no object of Kubernetes' protobuf: it does not begin with k8s and a zero")
        }
        do throws(WireError) {
            return try envelope(body.dropFirst(magic.count))
        } catch {
            guard error.description.hasPrefix(unreadable) else {
                throw .badRequest("the body cannot be read: \(error)")
            }
            throw APIError(code: 415, reason: .unsupportedMediaType, message: error.description)
        }
    }

    private static let unreadable = "objects of the kind"

    private static func envelope(_ bytes: ArraySlice<UInt8>) throws(WireError) -> Value {
        var reader = ProtobufReader(bytes)
        var apiVersion = ""
        var kind = ""
        var raw: ArraySlice<UInt8> = []
        while let field = try reader.next() {
            guard case .bytes(let content) = field.content else { continue }
            switch field.number {
            case 1:
                var inner = ProtobufReader(content)
                while let field = try inner.next() {
                    guard case .bytes(let text) = field.content else { continue }
                    if field.number == 1 { apiVersion = try self.text(text) }
                    if field.number == 2 { kind = try self.text(text) }
                }
            case 2: raw = content
            case 3 where !content.isEmpty: throw WireError("its encoding is not known")
            default: break
            }
        }
        guard let name = ProtobufTable.message(apiVersion: apiVersion, kind: kind) else {
            throw WireError("\(unreadable) \"\(kind.prefix(60))\" are not read as protobuf here; send JSON")
        }
        var value: Value = [:]
        if !apiVersion.isEmpty { value["apiVersion"] = .string(apiVersion) }
        value["kind"] = .string(kind)
        try fill(&value, name, raw, 0)
        return value
    }

    private static func fill(
        _ value: inout Value,
        _ message: String,
        _ bytes: ArraySlice<UInt8>,
        _ depth: Int
    ) throws(WireError) {
        guard depth < maximumDepth else { throw WireError("it is nested too deep") }
        guard let fields = ProtobufTable.messages[message] else { return }
        var reader = ProtobufReader(bytes)
        var lists: [String: [Value]] = [:]
        while let item = try reader.next() {
            guard let field = fields[item.number] else {
                throw WireError("field \(item.number) of \(message) is not known here")
            }
            switch field.kind {
            case .message(let name) where field.name == "-":
                guard case .bytes(let content) = item.content else { continue }
                try fill(&value, name, content, depth + 1)
            case .list(let element):
                if element == .number || element == .count, case .bytes(let content) = item.content {
                    let numbers = try ProtobufReader.packed(content)
                    lists[field.name, default: []] += numbers.map { .int(Int64(bitPattern: $0)) }
                } else if let read = try scalar(element, item.content, depth, keepsEmpty: true) {
                    lists[field.name, default: []].append(read)
                }
            case .map(let element):
                guard case .bytes(let content) = item.content else { continue }
                let (key, read) = try entry(element, content, depth)
                var map = value[field.name] ?? [:]
                map[key] = read
                value[field.name] = map
            default:
                if let read = try scalar(field.kind, item.content, depth, keepsEmpty: false) {
                    value[field.name] = read
                }
            }
        }
        for (name, items) in lists { value[name] = .array(items) }
    }

    private static func entry(
        _ kind: ProtobufTable.Kind,
        _ bytes: ArraySlice<UInt8>,
        _ depth: Int
    ) throws(WireError) -> (String, Value) {
        var reader = ProtobufReader(bytes)
        var key = ""
        var value: Value?
        while let field = try reader.next() {
            if field.number == 1, case .bytes(let content) = field.content { key = try text(content) }
            if field.number == 2 { value = try scalar(kind, field.content, depth, keepsEmpty: true) }
        }
        return (key, value ?? .string(""))
    }

    /// One value; nil for one that stands for none.
    private static func scalar(
        _ kind: ProtobufTable.Kind,
        _ content: Protobuf.Content,
        _ depth: Int,
        keepsEmpty: Bool
    ) throws(WireError) -> Value? {
        switch (kind, content) {
        case (.text, .bytes(let bytes)):
            let text = try text(bytes)
            return text.isEmpty && !keepsEmpty ? nil : .string(text)
        case (.bool, .varint(let number)): return .bool(number != 0)
        case (.number, .varint(let number)): return .int(Int64(bitPattern: number))
        case (.count, .varint(let number)): return number == 0 && !keepsEmpty ? nil : .int(Int64(bitPattern: number))
        case (.double, .fixed64(let bits)): return .double(Double(bitPattern: bits))
        case (.bytes, .bytes(let bytes)): return .string(Base64.encode(Array(bytes)))
        case (.message(let name), .bytes(let bytes)):
            var value: Value = [:]
            try fill(&value, name, bytes, depth + 1)
            return value
        case (_, .bytes(let bytes)): return try wrapped(kind, bytes)
        default: throw WireError("a field has the wrong wire type")
        }
    }

    /// Values that are small messages of their own.
    private static func wrapped(_ kind: ProtobufTable.Kind, _ bytes: ArraySlice<UInt8>) throws(WireError) -> Value? {
        var reader = ProtobufReader(bytes)
        var numbers: [Int: Int64] = [:]
        var texts: [(Int, String)] = []
        while let field = try reader.next() {
            switch field.content {
            case .varint(let number): numbers[field.number] = Int64(bitPattern: number)
            case .bytes(let content): texts.append((field.number, try text(content)))
            default: break
            }
        }
        switch kind {
        case .quantity: return .string(texts.first?.1 ?? "0")
        case .texts: return .array(texts.map { .string($0.1) })
        case .json: return try texts.first.map { (_, text) throws(WireError) in try JSON.parse(text) }
        case .intOrText:
            return numbers[1] ?? 0 == 0 ? .int(numbers[2] ?? 0) : .string(texts.first { $0.0 == 3 }?.1 ?? "")
        case .time, .microTime:
            guard let seconds = numbers[1] ?? (numbers[2] != nil ? 0 : nil) else { return nil }
            let time = Timestamp(seconds: seconds, nanoseconds: Int32(clamping: numbers[2] ?? 0))
            return .string(kind == .time ? time.description : time.microDescription)
        default: throw WireError("a field has the wrong wire type")
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) throws(WireError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw WireError("a text is not UTF-8") }
        return text
    }
}
