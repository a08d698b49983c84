import CWeft
import Glibc

/// Signals as events of a loop: blocked for the process, read from a descriptor.
public final class SignalSource {
    /// To be watched for reading.
    public let fd: Int32

    /// Blocks the signals for this thread and all that it starts from now on; call before starting threads.
    public init(_ signals: [Int32]) throws(SystemError) {
        var mask: UInt64 = 0
        for signal in signals where signal > 0 && signal < 64 { mask |= 1 << UInt64(signal) }
        fd = try SystemError.check(cweft_signal_fd(mask), "signalfd")
    }

    deinit { close(fd) }

    /// The next signal that arrived, or nil.
    public func next() -> Int32? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        return read(fd, &info, size) == size ? Int32(bitPattern: info.ssi_signo) : nil
    }
}
