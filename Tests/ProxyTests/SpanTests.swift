import Testing
import Wire

@testable import Proxy

@Suite("Spans")
struct SpanTests {
    @Test("a record comes out of the ring as it went in")
    func record() {
        var record = SpanRecord()
        record.high = 1
        record.low = .max
        record.span = 2
        record.parent = 3
        record.start = 1_700_000_000_000_000_000
        record.end = 1_700_000_000_000_000_001
        record.kind = .client
        record.isError = true
        record.isSampled = false
        record.retries = 2
        record.name = Array("name".utf8)
        record.state = Array("a=b".utf8)
        #expect(SpanRecord(record.bytes) == record)
        #expect(SpanRecord(SpanRecord().bytes) == SpanRecord())
    }

    @Test("bytes that are no record are none", arguments: [0, 1, 53])
    func short(count: Int) { #expect(SpanRecord(Array(SpanRecord().bytes.prefix(count))) == nil) }

    @Test("a record whose name is longer than its bytes, or of an unknown kind, is none")
    func broken() {
        var bytes = SpanRecord().bytes
        bytes[53] = 9
        #expect(SpanRecord(bytes) == nil)
        bytes = SpanRecord().bytes
        bytes[48] = 77
        #expect(SpanRecord(bytes) == nil)
    }

    @Test("a span has the fields of OTLP")
    func message() throws {
        var record = SpanRecord()
        record.high = 1
        record.low = 2
        record.span = 3
        record.start = 20
        record.end = 10
        record.isError = true
        var reader = ProtobufReader(SpanMessage.span(record, name: [97], [("k", .text([98]))]))
        var fields: [Int: Protobuf.Content] = [:]
        while let field = try reader.next() { fields[field.number] = field.content }
        #expect(fields[1] == .bytes([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]))
        #expect(fields[4] == nil && fields[5] == .bytes([97]) && fields[6] == .varint(2))
        // An end before the beginning is none.
        #expect(fields[7] == .fixed64(20) && fields[8] == .fixed64(20))
        #expect(fields[9] == .bytes([10, 1, 107, 18, 3, 10, 1, 98]))
        #expect(fields[15] == .bytes([24, 2]))
    }
}
