import Glibc
import Resources
package import Servers

/// From log lines (`2026-01-31T12:00:00.000000000Z stdout F text`) to what a reader asked for.
///
/// Pure: takes the file's bytes in any pieces and gives the text to hand out.
package struct LogFilter: Sendable {
    private let since: String?
    private let hasTimestamps: Bool
    private let stream: PodLogStream?
    private var bytesLeft: Int?
    private var partial: [UInt8] = []
    /// The line before was a part: what follows belongs to the same line.
    private var isContinued = false
    /// Lines to leave out from the start.
    package var skip = 0

    package init(_ options: PodLogOptions) {
        since = options.since?.nanoDescription
        hasTimestamps = options.timestamps
        stream = options.stream
        bytesLeft = options.limitBytes
    }

    /// Whether the reader's limit is reached.
    package var isFull: Bool { bytesLeft.map { $0 <= 0 } ?? false }

    package mutating func take(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        var start = bytes.startIndex
        while let end = Self.lineEnd(bytes[start...]) {
            if partial.isEmpty {
                add(bytes[start..<end], &output)
            } else {
                partial.append(contentsOf: bytes[start..<end])
                let line = partial
                partial = []
                add(line[...], &output)
            }
            start = end + 1
        }
        partial.append(contentsOf: bytes[start...])
        if let left = bytesLeft {
            if output.count > left { output.removeLast(output.count - max(left, 0)) }
            bytesLeft = left - output.count
        }
        return output
    }

    private static func lineEnd(_ bytes: ArraySlice<UInt8>) -> Int? {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress, let end = memchr(base, 0x0A, raw.count) else { return nil }
            return bytes.startIndex + (UnsafeRawPointer(end) - base)
        }
    }

    private mutating func add(_ line: ArraySlice<UInt8>, _ output: inout [UInt8]) {
        // Time, stream, mark, text: three blanks.
        guard let first = line.firstIndex(of: 0x20), let second = line[(first + 1)...].firstIndex(of: 0x20),
            let third = line[(second + 1)...].firstIndex(of: 0x20)
        else { return }
        if let stream, !line[(first + 1)..<second].elementsEqual(stream.rawValue.utf8) { return }
        let isPart = line[second + 1] == UInt8(ascii: "P")
        let continues = isContinued
        isContinued = isPart
        if skip > 0 {
            if !isPart { skip -= 1 }
            return
        }
        if let since, line[..<first].lexicographicallyPrecedes(since.utf8) { return }
        if hasTimestamps, !continues { output.append(contentsOf: line[...first]) }
        output.append(contentsOf: line[(third + 1)...])
        if !isPart { output.append(0x0A) }
    }
}
