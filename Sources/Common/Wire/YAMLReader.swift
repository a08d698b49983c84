import CYAML

/// One document of a YAML stream.
public struct YAMLDocument: Sendable {
    public let value: Value
    /// From 1: where the document's first value stands.
    public let line: Int
    private let places: YAMLPlaces

    init(value: Value, line: Int, places: YAMLPlaces) {
        self.value = value
        self.line = line
        self.places = places
    }

    /// The line of a field or element, such as `["spec", "containers", "0", "image"]`; when there is none, that of the
    /// nearest one around it.
    public func line(of path: [String]) -> Int {
        var place = YAMLPlaces.root
        for step in path {
            guard let next = places.find(step, in: place) else { break }
            place = next
        }
        return place == YAMLPlaces.root ? line : places.line(of: place)
    }
}

/// The lines of a document's values: a tree of numbered places, so that a value's cost does not grow with its path.
struct YAMLPlaces: Sendable {
    static let root = 0

    private struct Step: Hashable {
        let parent: Int
        let name: String
    }

    private var children: [Step: Int] = [:]
    private var lines = [0]

    func find(_ name: String, in parent: Int) -> Int? { children[Step(parent: parent, name: name)] }
    func line(of place: Int) -> Int { lines.indices.contains(place) ? lines[place] : 0 }

    /// The place of a field or element; a field that stands twice keeps the first.
    mutating func add(_ name: String, in parent: Int, line: Int) -> Int {
        let step = Step(parent: parent, name: name)
        if let known = children[step] { return known }
        lines.append(line)
        children[step] = lines.count - 1
        return lines.count - 1
    }
}

/// YAML streams, read as Kubernetes reads them and written in block style.
public enum YAML {
    /// The documents of a stream; empty ones are left out. JSON is YAML too.
    ///
    /// - Throws: `WireError` with line and column of the first mistake.
    public static func parse(_ bytes: [UInt8], limits: ReadLimits = ReadLimits()) throws(WireError) -> [YAMLDocument] {
        guard bytes.count <= limits.size else {
            throw WireError("\(bytes.count) bytes are more than the limit of \(limits.size)")
        }
        guard String(validating: bytes, as: UTF8.self) != nil else { throw WireError("the text is not valid UTF-8") }
        var reader = YAMLReader(limits: limits)
        return try reader.documents(bytes)
    }

    public static func parse(_ text: String, limits: ReadLimits = ReadLimits()) throws(WireError) -> [YAMLDocument] {
        try parse(Array(text.utf8), limits: limits)
    }
}

/// Builds value trees from libyaml's events.
private struct YAMLReader {
    private let limits: ReadLimits
    private var valuesLeft: Int
    private var anchors: [String: (value: Value, count: Int)] = [:]
    private var places = YAMLPlaces()

    init(limits: ReadLimits) {
        self.limits = limits
        valuesLeft = limits.values
    }

    mutating func documents(_ bytes: [UInt8]) throws(WireError) -> [YAMLDocument] {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { throw WireError("no memory for the YAML reader") }
        defer { yaml_parser_delete(&parser) }
        // Safety: libyaml reads from this copy, which lives until the parser is deleted.
        let input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, bytes.count))
        defer { input.deallocate() }
        _ = input.update(fromContentsOf: bytes)
        yaml_parser_set_input_string(&parser, input.baseAddress, bytes.count)
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
        var found: [YAMLDocument] = []
        while true {
            let event = try next(&parser)
            switch event.kind {
            case YAML_STREAM_END_EVENT: return found
            case YAML_DOCUMENT_START_EVENT:
                (anchors, places) = ([:], YAMLPlaces())
                let first = try next(&parser)
                let value = try self.value(first, &parser, depth: 0, place: YAMLPlaces.root)
                _ = try next(&parser)
                let isEmpty = value.isNull && first.kind == YAML_SCALAR_EVENT && first.text.isEmpty
                if !isEmpty { found.append(YAMLDocument(value: value, line: first.line, places: places)) }
            default: continue
            }
        }
    }

    /// What is needed of an event, copied so that libyaml's own can be freed at once.
    private struct Event {
        var kind = YAML_NO_EVENT
        var line = 0
        var column = 0
        var text = ""
        var anchor: String?
        var tag: String?
        var isPlain = false
    }

    private func next(_ parser: inout yaml_parser_t) throws(WireError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(&parser, &raw) == 1 else {
            let problem = parser.problem.map { String(cString: $0) } ?? "not YAML"
            let mark = parser.problem_mark
            throw WireError(problem, line: Int(clamping: mark.line) + 1, column: Int(clamping: mark.column) + 1)
        }
        defer { yaml_event_delete(&raw) }
        var event = Event()
        event.kind = raw.type
        event.line = Int(clamping: raw.start_mark.line) + 1
        event.column = Int(clamping: raw.start_mark.column) + 1
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            event.text = String(decoding: bytes, as: UTF8.self)
            event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            event.anchor = Self.string(scalar.anchor)
            event.tag = Self.string(scalar.tag)
        case YAML_SEQUENCE_START_EVENT:
            event.anchor = Self.string(raw.data.sequence_start.anchor)
        case YAML_MAPPING_START_EVENT:
            event.anchor = Self.string(raw.data.mapping_start.anchor)
        case YAML_ALIAS_EVENT:
            event.anchor = Self.string(raw.data.alias.anchor)
        default: break
        }
        return event
    }

    private static func string(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        guard let text else { return nil }
        return String(decodingCString: text, as: UTF8.self)
    }

    private mutating func value(
        _ event: Event,
        _ parser: inout yaml_parser_t,
        depth: Int,
        place: Int
    ) throws(WireError) -> Value {
        guard depth < limits.depth else { throw mistake("nested deeper than \(limits.depth) levels", event) }
        try spend(1, event)
        let before = valuesLeft
        let value: Value
        switch event.kind {
        case YAML_SCALAR_EVENT: value = try scalar(event)
        case YAML_SEQUENCE_START_EVENT: value = try sequence(&parser, depth, place)
        case YAML_MAPPING_START_EVENT: value = try mapping(&parser, depth, place)
        case YAML_ALIAS_EVENT: return try alias(event)
        default: throw mistake("a value should be here", event)
        }
        if let anchor = event.anchor { anchors[anchor] = (value, before - valuesLeft + 1) }
        return value
    }

    /// An alias costs as much as what it stands for, so that a small text cannot make a large tree.
    private mutating func alias(_ event: Event) throws(WireError) -> Value {
        guard let anchor = event.anchor, let known = anchors[anchor] else {
            throw mistake("the alias *\(event.anchor ?? "") stands for nothing", event)
        }
        try spend(known.count, event)
        return known.value
    }

    private func scalar(_ event: Event) throws(WireError) -> Value {
        switch event.tag {
        case "tag:yaml.org,2002:str", "!": return .string(event.text)
        case "tag:yaml.org,2002:binary": return .string(event.text)
        case nil: return event.isPlain ? YAMLScalar.value(of: event.text) : .string(event.text)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            return YAMLScalar.value(of: event.text)
        case let tag?: throw mistake("the tag \(tag) is not known", event)
        }
    }

    private mutating func sequence(_ parser: inout yaml_parser_t, _ depth: Int, _ place: Int) throws(WireError) -> Value
    {
        var elements: [Value] = []
        while true {
            let event = try next(&parser)
            if event.kind == YAML_SEQUENCE_END_EVENT { return .array(elements) }
            let inner = places.add("\(elements.count)", in: place, line: event.line)
            elements.append(try value(event, &parser, depth: depth + 1, place: inner))
        }
    }

    private mutating func mapping(_ parser: inout yaml_parser_t, _ depth: Int, _ place: Int) throws(WireError) -> Value
    {
        var fields = Fields()
        var merged: [Value] = []
        while true {
            let event = try next(&parser)
            if event.kind == YAML_MAPPING_END_EVENT { break }
            guard event.kind == YAML_SCALAR_EVENT else { throw mistake("a field's name must be a plain text", event) }
            let isMerge = event.text == "<<" && event.isPlain
            let inner = places.add(event.text, in: place, line: event.line)
            let content = try value(try next(&parser), &parser, depth: depth + 1, place: inner)
            if isMerge {
                merged.append(content)
                continue
            }
            guard fields[event.text] == nil else {
                throw mistake("the field \"\(event.text)\" stands twice in one object", event)
            }
            fields[event.text] = content
        }
        try merge(merged, into: &fields)
        return .object(fields)
    }

    /// `<<: *base` and `<<: [*a, *b]`: fields that the object does not have itself, earlier ones first.
    private func merge(_ sources: [Value], into fields: inout Fields) throws(WireError) {
        for source in sources {
            let objects = if case .array(let several) = source { several } else { [source] }
            for object in objects {
                guard case .object(let more) = object else {
                    throw WireError("<< takes an object or a list of objects")
                }
                for (name, value) in more where fields[name] == nil { fields[name] = value }
            }
        }
    }

    private mutating func spend(_ count: Int, _ event: Event) throws(WireError) {
        valuesLeft -= count
        guard valuesLeft >= 0 else { throw mistake("more than \(limits.values) values with aliases expanded", event) }
    }

    private func mistake(_ message: String, _ event: Event) -> WireError {
        WireError(message, line: event.line, column: event.column)
    }
}
