import Agent
import Resources
import Servers
import Testing

@Suite("Log filter")
struct LogFilterTests {
    private let log = """
        2026-01-01T00:00:01.000000000Z stdout F one
        2026-01-01T00:00:02.000000000Z stderr P tw
        2026-01-01T00:00:02.000000001Z stderr F o
        2026-01-01T00:00:03.000000000Z stdout F three

        """

    private func text(_ change: (inout PodLogOptions) -> Void = { _ in }, skip: Int = 0, piece: Int = 1000) -> String {
        var options = PodLogOptions()
        change(&options)
        var filter = LogFilter(options)
        filter.skip = skip
        var output: [UInt8] = []
        let bytes = Array(log.utf8)
        for start in stride(from: 0, to: bytes.count, by: piece) {
            output += filter.take(bytes[start..<min(start + piece, bytes.count)])
        }
        return String(decoding: output, as: UTF8.self)
    }

    @Test("lines come without their marks, parts are joined, in pieces of any size", arguments: [1, 7, 50, 1000])
    func joins(piece: Int) {
        #expect(text(piece: piece) == "one\ntwo\nthree\n")
    }

    @Test("times, a moment to begin at, lines to skip and a limit of bytes are kept")
    func options() {
        #expect(text({ $0.timestamps = true }).hasPrefix("2026-01-01T00:00:01.000000000Z one\n"))
        #expect(text({ $0.since = Timestamp("2026-01-01T00:00:03Z") }) == "three\n")
        #expect(text(skip: 2) == "three\n")
        #expect(text({ $0.limitBytes = 5 }, piece: 20) == "one\nt")
    }
}
