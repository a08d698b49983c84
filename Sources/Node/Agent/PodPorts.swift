import CWeft
import Glibc
package import Resources
import Sandbox
package import Servers

/// Connects to ports of this machine's pods from inside their networks, for `port-forward`. Stateless.
package struct PodPorts: PodPortSource {
    private let stateDirectory: String
    private static let patience = Duration.seconds(10)

    package init(stateDirectory: String) { self.stateDirectory = stateDirectory }

    package func connect(to port: Int, of pod: Object) async throws(APIError) -> any PodConnection {
        let broker = "\(stateDirectory)/pods/\(pod.uid)/net.sock"
        let isIsolated = access(broker, F_OK) == 0
        let address = PodStatus(pod.status).podIP
        // Programs listen on the pod's own loopback, or on its address alone; a pod without a network of its own has that alone.
        let hosts = (isIsolated ? ["127.0.0.1"] : []) + (address.isEmpty ? [] : [address])
        var why = "the pod has no address yet"
        for host in hosts {
            switch await dial(host, port, broker: isIsolated ? broker : nil) {
            case .success(let descriptor): return SocketConnection(descriptor)
            case .failure(let error): why = error.text
            }
        }
        throw .badRequest("port \(port) of pod \"\(pod.name)\" cannot be reached: \(why)")
    }

    private struct Refusal: Error { let text: String }

    private func dial(_ host: String, _ port: Int, broker: String?) async -> Result<Int32, Refusal> {
        var address = cweft_address()
        guard let number = UInt16(exactly: port), cweft_parse_address(host, number, &address) == 0 else {
            return .failure(Refusal(text: "\(host):\(port) is no address"))
        }
        let domain = address.family == 6 ? AF_INET6 : AF_INET
        let kind = Int32(SOCK_STREAM.rawValue)
        let descriptor = broker.map { cweft_socket_from_broker($0, domain, kind) } ?? cweft_socket(domain, kind, -1)
        guard descriptor >= 0 else { return .failure(Refusal(text: String(cString: strerror(-descriptor)))) }
        var result = cweft_connect(descriptor, &address)
        if result == -EINPROGRESS {
            switch await Poller.shared.wait(descriptor, .writable, until: .now + Self.patience) {
            case .ready: result = cweft_socket_error(descriptor)
            case .timedOut, .cancelled: result = -ETIMEDOUT
            case .failed(let error): result = -error
            }
        }
        guard result == 0 else {
            close(descriptor)
            return .failure(Refusal(text: String(cString: strerror(abs(result)))))
        }
        return .success(descriptor)
    }
}

/// A connected socket as the API sees it. The two directions have a descriptor each: each may be waited for by a task of its own.
private final class SocketConnection: PodConnection {
    private let input: Int32
    private let output: Int32

    init(_ descriptor: Int32) {
        input = descriptor
        output = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    }

    deinit {
        Glibc.close(input)
        if output >= 0 { Glibc.close(output) }
    }

    func read() async -> [UInt8]? {
        while true {
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, filled in
                guard let base = buffer.baseAddress else { return }
                count = cweft_receive(input, base, buffer.count)
                filled = max(count, 0)
            }
            if count > 0 { return bytes }
            guard count == -Int(EAGAIN) || count == -Int(EINTR) else { return nil }
            guard await Poller.shared.wait(input, .readable) == .ready else { return nil }
        }
    }

    func write(_ bytes: [UInt8]) async -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { bytes -> Int in
                guard let base = bytes.baseAddress else { return 0 }
                return cweft_send(output, base + sent, bytes.count - sent)
            }
            if count > 0 {
                sent += count
                continue
            }
            guard count == -Int(EAGAIN) || count == -Int(EINTR) else { return false }
            guard await Poller.shared.wait(output, .writable) == .ready else { return false }
        }
        return true
    }

    func endInput() { shutdown(input, Int32(SHUT_WR)) }

    func close() { shutdown(input, Int32(SHUT_RDWR)) }
}
