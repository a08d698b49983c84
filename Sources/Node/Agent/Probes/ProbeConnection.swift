import CTLS
import CWeft
import Glibc
import Sandbox

/// A probe's connection, in the clear or over TLS; closed when it is let go.
///
/// Used by one task. Every wait ends at the deadline.
final class ProbeConnection {
    private let fd: Int32
    private let deadline: ContinuousClock.Instant
    private var tls: OpaquePointer?

    /// Takes the socket, which is connected and does not block.
    init(_ fd: Int32, until deadline: ContinuousClock.Instant) {
        self.fd = fd
        self.deadline = deadline
    }

    deinit {
        if let tls { ctls_close(tls) }
        close(fd)
    }

    /// Speaks TLS from here on. The server's certificate is not checked: as in Kubernetes, a probe asks whether somebody is
    /// there, not who.
    func startTLS(name: String?) async throws(SandboxError) {
        guard let made = ctls_open(fd, name) else {
            throw SandboxError(.socket, "an HTTPS probe needs OpenSSL 3 on this machine (Debian's package libssl3)")
        }
        tls = made
        while true {
            let result = ctls_handshake(made)
            if result == Int32(ctls_done) { return }
            try await wait(
                result,
                "TLS handshake failed: the port does not speak TLS, or no version that OpenSSL takes"
            )
        }
    }

    func send(_ bytes: [UInt8]) async throws(SandboxError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBufferPointer { part -> Int32 in
                if let tls { return ctls_send(tls, part.baseAddress, Int32(clamping: part.count)) }
                let sent = cweft_send(fd, part.baseAddress, part.count)
                return sent == -Int(EAGAIN) ? Int32(ctls_wants_write) : Int32(clamping: sent)
            }
            if count > 0 {
                rest = rest.dropFirst(Int(count))
            } else {
                try await wait(count, "cannot send the request")
            }
        }
    }

    /// The next bytes; empty at the end.
    func receive() async throws(SandboxError) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count: Int32
            if let tls {
                count = ctls_receive(tls, &chunk, Int32(chunk.count))
            } else {
                let received = cweft_receive(fd, &chunk, chunk.count)
                count = received == -Int(EAGAIN) ? Int32(ctls_wants_read) : Int32(clamping: max(received, 0))
            }
            if count >= 0 { return Array(chunk[..<Int(count)]) }
            try await wait(count, "the connection broke before the answer")
        }
    }

    private func wait(_ wish: Int32, _ failure: String) async throws(SandboxError) {
        let event: Poller.Interest
        switch wish {
        case Int32(ctls_wants_read): event = .readable
        case Int32(ctls_wants_write): event = .writable
        default: throw SandboxError(.socket, failure)
        }
        guard await Poller.shared.wait(fd, event, until: deadline) == .ready else {
            throw SandboxError(.timedOut, "no answer in time")
        }
    }
}
