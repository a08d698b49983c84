import CWeft
import Glibc

/// The pages of this program's code that are mapped.
enum ResidentCode {
    /// Lets go of the mapped pages of the program's own code; what runs on is mapped again from the page cache.
    ///
    /// Reading a configuration walks through megabytes of code that serving never needs. With the runtime linked in, the
    /// idle proxy had 8.1 MB of code mapped after its start, of which it goes on using a fraction (smaps, November 2026).
    ///
    /// Safety: only mappings of the executable that are readable, executable and not writable are named to the kernel; they
    /// hold what the file holds, as the program is position independent and relocates data only.
    static func release() {
        // Found first, in plain numbers: looking for them runs through much code, which would be mapped again at once.
        let ranges = find()
        drop(ranges.0)
        drop(ranges.1)
    }

    private typealias Range = (start: UInt, length: Int)

    private static func drop(_ range: Range) {
        guard range.length > 0 else { return }
        madvise(UnsafeMutableRawPointer(bitPattern: range.start), range.length, MADV_DONTNEED)
    }

    /// The mappings of code; there is one, or two where the linker splits it.
    private static func find() -> (Range, Range) {
        var found: (Range, Range) = ((0, 0), (0, 0))
        guard case .success(let bytes) = FileBytes.read("/proc/self/maps", limit: 1 << 20) else { return found }
        var path = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &path, path.count - 1)
        guard count > 0 else { return found }
        let program = String(decoding: path.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasSuffix(program) {
            let words = line.split(separator: " ", maxSplits: 2)
            let ends = words.first?.split(separator: "-") ?? []
            guard words.count == 3, words[1] == "r-xp", ends.count == 2, let start = UInt(ends[0], radix: 16),
                let end = UInt(ends[1], radix: 16), end > start
            else { continue }
            found = (found.1, (start, Int(end - start)))
        }
        return found
    }
}
