import Compression
import Testing

/// Runs a message through a coder in pieces of the given sizes.
private func encode(
    _ settings: EncoderSettings,
    _ message: [UInt8],
    piece: Int,
    room: Int,
    flushes: Bool = false
) throws -> [UInt8] {
    let encoder = try #require(ContentEncoder(settings))
    var output: [UInt8] = []
    var space = [UInt8](repeating: 0, count: room)
    var start = 0
    while true {
        let isLast = start + piece >= message.count
        let part = Array(message[start..<min(message.count, start + piece)])
        var given = 0
        while true {
            let step = part[given...].withUnsafeBytes { input in
                space.withUnsafeMutableBytes { encoder.step(input, into: $0, flushes: flushes, isLast: isLast) }
            }
            given += step.taken
            output += space[..<step.made]
            try #require(step.outcome == .full || step.outcome == .hungry || step.outcome == .done)
            if step.outcome != .full { break }
        }
        #expect(given == part.count)
        start += piece
        if isLast { return output }
    }
}

private struct Decoded: Equatable {
    var bytes: [UInt8] = []
    var outcome = CoderOutcome.hungry
}

private func decode(_ settings: DecoderSettings, _ message: [UInt8], piece: Int, room: Int = 4096) throws -> Decoded {
    let decoder = try #require(ContentDecoder(settings))
    var result = Decoded()
    var space = [UInt8](repeating: 0, count: room)
    var start = 0
    while true {
        let isLast = start + piece >= message.count
        let part = Array(message[start..<min(message.count, start + piece)])
        var given = 0
        while true {
            let step = part[given...].withUnsafeBytes { input in
                space.withUnsafeMutableBytes { decoder.step(input, into: $0, isLast: isLast) }
            }
            given += step.taken
            result.bytes += space[..<step.made]
            result.outcome = step.outcome
            if step.outcome != .full { break }
        }
        start += piece
        if isLast || result.outcome == .corrupt || result.outcome == .tooLarge { return result }
    }
}

private let text = Array(
    (0..<3000).map { "line \($0 % 37) of a text that repeats itself, and then not: \($0 &* 2_654_435_761)\n" }.joined()
        .utf8
)

@Suite struct ContentCoderTests {
    @Test(arguments: ContentCoding.allCases, [1, 7, 4096, 1 << 20])
    func whatIsCompressedComesBack(coding: ContentCoding, piece: Int) throws {
        let message = piece == 1 ? Array(text.prefix(2000)) : text
        let packed = try encode(EncoderSettings(coding), message, piece: piece, room: 512)
        #expect(packed.count < message.count / 2)
        #expect(try decode(DecoderSettings(coding), packed, piece: piece) == Decoded(bytes: message, outcome: .done))
        #expect(try decode(DecoderSettings(coding), packed, piece: 1 << 20, room: 3).bytes == message)
    }

    @Test(arguments: ContentCoding.allCases)
    func anEmptyMessageIsAStreamToo(coding: ContentCoding) throws {
        let packed = try encode(EncoderSettings(coding), [], piece: 10, room: 512)
        #expect(!packed.isEmpty)
        #expect(try decode(DecoderSettings(coding), packed, piece: 100) == Decoded(bytes: [], outcome: .done))
        #expect(try decode(DecoderSettings(coding), [], piece: 100).outcome == .done)
    }

    @Test(arguments: ContentCoding.allCases)
    func aFlushLetsAllOutThatWentIn(coding: ContentCoding) throws {
        let encoder = try #require(ContentEncoder(EncoderSettings(coding)))
        let decoder = try #require(ContentDecoder(DecoderSettings(coding)))
        var space = [UInt8](repeating: 0, count: 4096)
        for event in ["data: one\n\n", "data: two\n\n"] {
            let step = Array(event.utf8).withUnsafeBytes { input in
                space.withUnsafeMutableBytes { encoder.step(input, into: $0, flushes: true, isLast: false) }
            }
            #expect(step.outcome == .hungry)
            let packed = Array(space[..<step.made])
            let back = packed.withUnsafeBytes { input in
                space.withUnsafeMutableBytes { decoder.step(input, into: $0, isLast: false) }
            }
            #expect(String(decoding: space[..<back.made], as: UTF8.self) == event)
        }
    }

    @Test(arguments: ContentCoding.allCases)
    func whatIsCutShortOrChangedIsCorrupt(coding: ContentCoding) throws {
        let packed = try encode(EncoderSettings(coding), text, piece: 4096, room: 4096)
        let cut = Array(packed.dropLast(5))
        #expect(try decode(DecoderSettings(coding), cut, piece: 1000).outcome == .corrupt)
        #expect(
            try decode(DecoderSettings(coding), Array("plain text, not packed".utf8), piece: 1000).outcome == .corrupt
        )
        #expect(try decode(DecoderSettings(coding), packed + [1, 2, 3], piece: 1 << 20).outcome == .corrupt)
    }

    @Test(arguments: ContentCoding.allCases)
    func aBombIsStoppedByItsRatioAndByItsSize(coding: ContentCoding) throws {
        let zeros = [UInt8](repeating: 0, count: 4 << 20)
        let bomb = try encode(EncoderSettings(coding), zeros, piece: 1 << 16, room: 4096)
        let stopped = try decode(DecoderSettings(coding), bomb, piece: 1 << 16)
        #expect(stopped.outcome == .tooLarge)
        #expect(stopped.bytes.count < 4 << 20)
        var lenient = DecoderSettings(coding)
        lenient.maxRatio = 1_000_000
        #expect(try decode(lenient, bomb, piece: 1 << 16).bytes.count == zeros.count)
        lenient.maxBytes = 1 << 20
        let bounded = try decode(lenient, bomb, piece: 1 << 16)
        #expect(bounded.outcome == .tooLarge)
        #expect(bounded.bytes.count <= (1 << 20) + 4096)
    }

    @Test func severalMembersAreOneMessage() throws {
        for coding in [ContentCoding.gzip, .zstd] {
            let one = try encode(EncoderSettings(coding), Array("one ".utf8), piece: 10, room: 100)
            let two = try encode(EncoderSettings(coding), Array("two".utf8), piece: 10, room: 100)
            #expect(
                try decode(DecoderSettings(coding), one + two, piece: 1)
                    == Decoded(bytes: Array("one two".utf8), outcome: .done)
            )
        }
    }

    @Test func aWindowThatIsTooLargeIsRefused() throws {
        var settings = EncoderSettings(.gzip)
        settings.windowBits = 15
        let packed = try encode(settings, text, piece: 4096, room: 4096)
        var narrow = DecoderSettings(.gzip)
        narrow.windowBits = 9
        #expect(try decode(narrow, packed, piece: 4096).outcome == .corrupt)
    }
}
