import CWeft
import Glibc

/// Moves bytes from one socket to another inside the kernel, without copying them: into a pipe and out of it.
///
/// One pipe serves any number of connections, since it is empty between two moves: what does not go out at once is to be
/// taken out with `read`. Owned by one thread; whoever made it closes it.
public struct SplicePipe: BitwiseCopyable {
    /// Wished for: pages of a socket fill a place each, however little of them is used.
    static let size = 1 << 20
    private let output: Int32
    private let input: Int32

    /// Nil when the process has no descriptors left.
    public init?() {
        var ends: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutableBytes(of: &ends) { bytes in
            cweft_pipe(bytes.baseAddress?.assumingMemoryBound(to: Int32.self), Int32(Self.size))
        }
        guard made == 0 else { return nil }
        output = ends.0
        input = ends.1
    }

    /// Takes up to `count` bytes from a socket: a count, 0 at the end of the stream, or `-errno`.
    public func fill(from socket: Int32, _ count: Int) -> Int { cweft_splice(socket, input, count) }

    /// Gives `count` bytes of it to a socket: how many went, or `-errno`.
    public func drain(to socket: Int32, _ count: Int) -> Int { cweft_splice(output, socket, count) }

    /// Takes bytes out of it: a count or `-errno`.
    public func read(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
        let taken = Glibc.read(output, bytes, count)
        return taken < 0 ? Int(-cweft_errno()) : taken
    }

    public func close() {
        Glibc.close(output)
        Glibc.close(input)
    }
}
