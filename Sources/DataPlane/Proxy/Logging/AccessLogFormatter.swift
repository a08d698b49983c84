import Glibc
import Reactor

/// Turns records into lines: for the log thread, and for header values and bodies of a request in work.
struct AccessLogFormatter {
    /// The host's name, for `%HOSTNAME%`.
    let hostname: String

    /// Appends the line of a record.
    func write(_ record: AccessLogRecord, format: AccessLogFormat, into line: inout [UInt8]) {
        writeText(record, format: format, escapes: true, into: &line)
        if line.last != 0x0A { line.append(0x0A) }
    }

    /// Appends the text of a record. With `escapes` bytes of peers are made harmless for a line of text; JSON always is.
    func writeText(_ record: AccessLogRecord, format: AccessLogFormat, escapes: Bool, into line: inout [UInt8]) {
        let source = LogValues(record: record, format: format, hostname: hostname)
        switch format.style {
        case .text(let parts):
            for part in parts {
                if case .literal(let literal) = part {
                    line.append(contentsOf: literal.utf8)
                    continue
                }
                switch source.value(part) {
                case .none: if !format.omitsEmpty { line.append(0x2D) }
                case .number(let number): line.append(contentsOf: String(number).utf8)
                case .bytes(let bytes):
                    if escapes { Self.appendEscaped(bytes, &line) } else { Self.appendPlain(bytes, &line) }
                }
            }
        case .json(let node): _ = write(node, source, format.omitsEmpty, isNested: false, &line)
        }
    }

    /// Appends a JSON value; false when there is none and none is to be shown.
    private func write(
        _ node: AccessLogFormat.Node,
        _ source: LogValues,
        _ omitsEmpty: Bool,
        isNested: Bool = true,
        _ line: inout [UInt8]
    ) -> Bool {
        switch node {
        case .constant(let text): line.append(contentsOf: text.utf8)
        case .text(let parts):
            let value = parts.count == 1 ? source.value(parts[0]) : joined(parts, source, omitsEmpty)
            switch value {
            case .none:
                if omitsEmpty { return false }
                line.append(contentsOf: "null".utf8)
            case .number(let number): line.append(contentsOf: String(number).utf8)
            case .bytes(let bytes): Self.appendJSON(bytes, &line)
            }
        case .array(let nodes):
            line.append(0x5B)
            var isFirst = true
            for node in nodes {
                let end = line.count
                if !isFirst { line.append(0x2C) }
                if write(node, source, omitsEmpty, &line) {
                    isFirst = false
                } else {
                    line.removeSubrange(end...)
                }
            }
            line.append(0x5D)
        case .object(let members):
            line.append(0x7B)
            var isFirst = true
            for member in members {
                let end = line.count
                if !isFirst { line.append(0x2C) }
                Self.appendJSON(Array(member.name.utf8), &line)
                line.append(0x3A)
                if write(member.node, source, omitsEmpty, &line) {
                    isFirst = false
                } else {
                    line.removeSubrange(end...)
                }
            }
            line.append(0x7D)
            // An object without anything is left out as a value would be; the line itself never is.
            if isFirst, omitsEmpty, isNested { return false }
        }
        return true
    }

    /// A text of several operators.
    private func joined(_ parts: [AccessLogFormat.Operator], _ source: LogValues, _ omitsEmpty: Bool) -> LogValue {
        var joined: [UInt8] = []
        for part in parts {
            switch source.value(part) {
            case .none: if !omitsEmpty { joined.append(0x2D) }
            case .number(let number): joined.append(contentsOf: String(number).utf8)
            case .bytes(let bytes): joined.append(contentsOf: bytes)
            }
        }
        return .bytes(joined)
    }

    // MARK: Escaping

    private static let hex = Array("0123456789abcdef".utf8)

    /// Bytes from a peer must not end a line, close a quotation or steer a terminal.
    static func appendEscaped(_ bytes: [UInt8], _ line: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case 0x22, 0x5C:
                line.append(0x5C)
                line.append(byte)
            case 0x20...0x7E: line.append(byte)
            default: line.append(contentsOf: [0x5C, 0x78, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            }
        }
    }

    /// Printable bytes only: for the value of a header.
    static func appendPlain(_ bytes: [UInt8], _ line: inout [UInt8]) {
        for byte in bytes where byte >= 0x20 && byte != 0x7F || byte == 0x09 { line.append(byte) }
    }

    /// A JSON string; bytes that are no UTF-8 are replaced.
    static func appendJSON(_ bytes: [UInt8], _ line: inout [UInt8]) {
        line.append(0x22)
        for byte in String(decoding: bytes, as: UTF8.self).utf8 {
            switch byte {
            case 0x22, 0x5C:
                line.append(0x5C)
                line.append(byte)
            case 0x0A: line.append(contentsOf: "\\n".utf8)
            case 0x0D: line.append(contentsOf: "\\r".utf8)
            case 0x09: line.append(contentsOf: "\\t".utf8)
            case 0..<0x20, 0x7F:
                line.append(contentsOf: "\\u00".utf8)
                line.append(contentsOf: [hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            default: line.append(byte)
            }
        }
        line.append(0x22)
    }
}
