import HTTP
import Traffic

/// Changes of a message's head that a filter wants, in order. Values that would break the head are left out.
struct HeadEdits {
    enum Kind: UInt8 { case append, addIfAbsent, set, setIfPresent, remove }

    struct Edit {
        var kind: Kind
        var name: Range<Int>
        var value: Range<Int>
    }

    private(set) var edits: [Edit] = []
    /// Names and values, one behind the other.
    private(set) var bytes: [UInt8] = []

    init() {}

    var isEmpty: Bool { edits.isEmpty }

    /// `name` in lower case; of pseudo headers `:path`, `:method` and `:authority` mean something.
    mutating func add(_ kind: Kind, _ name: some Collection<UInt8>, _ value: some Collection<UInt8>) {
        guard !name.isEmpty, Self.isName(name), value.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
            return
        }
        let start = bytes.count
        bytes += name
        let middle = bytes.count
        bytes += value
        edits.append(Edit(kind: kind, name: start..<middle, value: middle..<bytes.count))
    }

    mutating func set(_ name: String, _ value: String) { add(.set, name.utf8, value.utf8) }
    mutating func append(_ name: String, _ value: String) { add(.append, name.utf8, value.utf8) }
    mutating func remove(_ name: String) { add(.remove, name.utf8, EmptyCollection()) }

    mutating func append(contentsOf other: HeadEdits) {
        for edit in other.edits { add(edit.kind, other.bytes[edit.name], other.bytes[edit.value]) }
    }

    private static func isName(_ name: some Collection<UInt8>) -> Bool {
        name.enumerated().allSatisfy { offset, byte in
            (byte == 0x3A && offset == 0) || (byte > 0x20 && byte < 0x7F && byte != 0x3A)
        }
    }

    /// What makes up the message's frame is not for filters to change.
    static let fixed: [StaticString] = [
        "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive",
        "proxy-connection",
    ]
}

/// A head as a list of lines: what edits work on.
struct HeadLines {
    struct Line {
        var name: ByteRun
        var value: ByteRun
    }

    private(set) var lines: [Line] = []
    /// Pseudo headers that were set.
    var path: ByteRun?
    var method: ByteRun?
    var authority: ByteRun?

    /// The fields of a table, without those that were taken out.
    init(_ base: UnsafeRawPointer, _ table: borrowing FieldTable, withHost: Bool) {
        lines.reserveCapacity(table.count + 4)
        for index in 0..<table.count {
            let name = table.names[index]
            guard name != .dropped, withHost || name != .host else { continue }
            let field = table.fields[index]
            lines.append(
                Line(
                    name: ByteRun(start: base + Int(field.nameStart), count: Int(field.nameLength)),
                    value: ByteRun(start: base + Int(field.valueStart), count: Int(field.valueLength))
                )
            )
        }
    }

    /// Carries the edits out. The bytes behind them have to outlive the lines: see `HeadEdits.bytes`.
    mutating func apply(_ edits: HeadEdits, _ bytes: UnsafeRawPointer) {
        for edit in edits.edits {
            let name = ByteRun(start: bytes + edit.name.lowerBound, count: edit.name.count)
            let value = ByteRun(start: bytes + edit.value.lowerBound, count: edit.value.count)
            apply(edit.kind, name, value)
        }
    }

    private mutating func apply(_ kind: HeadEdits.Kind, _ name: ByteRun, _ value: ByteRun) {
        guard name[0] != 0x3A else {
            if name.equals(Worker.run(":path")) { path = value }
            if name.equals(Worker.run(":method")) { method = value }
            if name.equals(Worker.run(":authority")) { authority = value }
            return
        }
        if name.equalsIgnoringCase(Worker.run("host")) {
            if kind == .set || kind == .setIfPresent { authority = value }
            return
        }
        guard !HeadEdits.fixed.contains(where: { name.equalsIgnoringCase(Worker.run($0)) }) else { return }
        let isThere = lines.contains { $0.name.equalsIgnoringCase(name) }
        switch kind {
        case .append: lines.append(Line(name: name, value: value))
        case .addIfAbsent: if !isThere { lines.append(Line(name: name, value: value)) }
        case .set, .setIfPresent:
            guard kind == .set || isThere else { return }
            lines.removeAll { $0.name.equalsIgnoringCase(name) }
            lines.append(Line(name: name, value: value))
        case .remove: lines.removeAll { $0.name.equalsIgnoringCase(name) }
        }
    }

    /// Bytes that the lines take when they are written.
    var size: Int { lines.reduce(64) { $0 + $1.name.count + $1.value.count + 4 } }

    func write(_ writer: inout ByteWriter) {
        for line in lines {
            writer.put(line.name)
            writer.put(": ")
            writer.put(line.value)
            writer.endLine()
        }
        writer.endLine()
    }
}
