import CWeft
import Glibc

// Sockets of the pod's network, made by its broker: they work inside the pod though this process is outside.
extension PodSandbox {
    /// A new non-blocking socket of the pod's network; the caller closes it.
    package nonisolated func makeSocket(domain: Int32, type: Int32) throws(SandboxError) -> Int32 {
        let fd = cweft_socket_from_broker(brokerPath, domain, type)
        guard fd >= 0 else {
            throw SandboxError(
                .socket,
                "pod \(spec.namespace)/\(spec.name): no socket from its broker: \(SandboxError.text(-fd))"
            )
        }
        return fd
    }

    /// The two sockets of the pod's name server, bound to its address on port 53; the TCP one listens. The caller closes
    /// them.
    package nonisolated func bindDNS() throws(SandboxError) -> (udp: Int32, tcp: Int32) {
        let udp = try makeSocket(domain: AF_INET, type: Int32(SOCK_DGRAM.rawValue))
        do throws(SandboxError) {
            let tcp = try makeSocket(domain: AF_INET, type: Int32(SOCK_STREAM.rawValue))
            do throws(SandboxError) {
                var address = try Self.address(spec.dnsAddress, port: 53)
                try check(cweft_bind(udp, &address), "bind \(spec.dnsAddress):53 (UDP)")
                try check(cweft_listen_on(tcp, &address, 64, 0), "listen on \(spec.dnsAddress):53 (TCP)")
                return (udp, tcp)
            } catch {
                close(tcp)
                throw error
            }
        } catch {
            close(udp)
            throw error
        }
    }

    /// A connection to a port inside the pod; the caller closes it.
    ///
    /// - Throws: `.socket` with the system's reason, `.timedOut` at the deadline.
    package nonisolated func connect(
        _ host: String,
        port: Int,
        until deadline: ContinuousClock.Instant
    ) async throws(SandboxError) -> Int32 {
        var address = try Self.address(host, port: port)
        let fd = try makeSocket(domain: address.family == 6 ? AF_INET6 : AF_INET, type: Int32(SOCK_STREAM.rawValue))
        let result = cweft_connect(fd, &address)
        var failure: SandboxError?
        if result == -EINPROGRESS {
            switch await Poller.shared.wait(fd, .writable, until: deadline) {
            case .ready:
                let error = cweft_socket_error(fd)
                if error != 0 {
                    failure = SandboxError(.socket, "connect \(host):\(port): \(SandboxError.text(abs(error)))")
                }
            case .timedOut: failure = SandboxError(.timedOut, "connect \(host):\(port): timed out")
            case .cancelled: failure = SandboxError(.timedOut, "connect \(host):\(port): cancelled")
            case .failed(let error):
                failure = SandboxError(.socket, "connect \(host):\(port): \(SandboxError.text(error))")
            }
        } else if result < 0 {
            failure = SandboxError(.socket, "connect \(host):\(port): \(SandboxError.text(-result))")
        }
        if let failure {
            close(fd)
            throw failure
        }
        return fd
    }

    private static func address(_ host: String, port: Int) throws(SandboxError) -> cweft_address {
        var address = cweft_address()
        guard let port = UInt16(exactly: port), cweft_parse_address(host, port, &address) == 0 else {
            throw SandboxError(.socket, "\(host):\(port) is no address with a port")
        }
        return address
    }

    private nonisolated func check(_ result: Int32, _ action: String) throws(SandboxError) {
        guard result < 0 else { return }
        throw SandboxError(
            .socket,
            "pod \(spec.namespace)/\(spec.name): cannot \(action): \(SandboxError.text(-result))"
        )
    }
}
