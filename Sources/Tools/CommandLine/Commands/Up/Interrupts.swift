import CWeft
import Glibc

/// SIGINT, SIGTERM and SIGHUP as a stream of values, in place of the end of the process.
enum Interrupts {
    /// Safety: written once by `stream()` before the handler is installed; read by the handler only.
    nonisolated(unsafe) private static var pipe: Int32 = -1

    /// Ends the stream: no more signals are waited for.
    static func finish() {
        var byte: UInt8 = 0
        _ = write(pipe, &byte, 1)
    }

    /// One element per signal from now on. May be called once in a process.
    static func stream() -> AsyncStream<Int32> {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { return AsyncStream { $0.finish() } }
        let reading = ends[0]
        pipe = ends[1]
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(Interrupts.pipe, &byte, 1)
            }
        }
        return AsyncStream { continuation in
            let thread = SignalThread(reading: reading, continuation: continuation)
            thread.start()
        }
    }
}

/// The thread that waits on the pipe: a blocking read has no place on the concurrency pool.
private struct SignalThread {
    let reading: Int32
    let continuation: AsyncStream<Int32>.Continuation

    func start() {
        let box = Unmanaged.passRetained(Box(self))
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { argument in
                // Safety: the box was retained for this thread alone and is released here.
                if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().content.run() }
                return nil
            },
            box.toOpaque()
        )
        pthread_detach(thread)
    }

    private func run() {
        var byte: UInt8 = 0
        while true {
            let count = read(reading, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1, byte != 0 else { return continuation.finish() }
            continuation.yield(Int32(byte))
        }
    }

    private final class Box {
        let content: SignalThread
        init(_ content: SignalThread) { self.content = content }
    }
}
