import Glibc
import Resources
import Sandbox

/// Carries out one turn of a probe in a pod.
struct ProbeRunner: Sendable {
    let sandbox: PodSandbox
    let podAddress: String
    let ports: [ContainerPort]
    /// The container's own program: commands run with its environment, directory and identity.
    let program: ProgramSpec
    /// Where a port of the pod is; nil while nothing listens that stands for it.
    let locate: @Sendable (Int) async -> PodSockets.Place?

    /// Kubernetes reads no more of an answer.
    private static let answerLimit = 10 << 10

    func run(_ action: ProbeHandler.Action, timeout: Duration) async -> ProbeOutcome {
        switch action {
        case .exec(let command): return await exec(command, timeout)
        case .http(let scheme, let host, let port, let path, let headers):
            guard let number = number(of: port) else { return .failure("the container has no port named \(port)") }
            let deadline = ContinuousClock.now + timeout
            let isSecure = scheme.uppercased() == "HTTPS"
            return await http(isSecure, host, number, path, headers, until: deadline)
        case .tcp(let host, let port):
            guard let number = number(of: port) else { return .failure("the container has no port named \(port)") }
            return await connect(host, number, until: .now + timeout)
        case .grpc(let port, let service): return await grpc(port, service, until: .now + timeout)
        case .sleep(let seconds):
            try? await Task.sleep(for: .seconds(seconds))
            return .success
        }
    }

    private func number(of port: IntOrString) -> Int? {
        switch port {
        case .number(let number): number
        case .text(let name): ports.first { $0.name == name }?.containerPort ?? Int(name)
        }
    }

    private func exec(_ command: [String], _ timeout: Duration) async -> ProbeOutcome {
        var wanted = program
        wanted.arguments = command
        do throws(SandboxError) {
            let result = try await sandbox.run(wanted, timeout: timeout)
            if let failure = result.failure { return .failure(failure) }
            if result.hasTimedOut { return .failure("command timed out after \(timeout.milliseconds) ms") }
            if result.exitCode == 0 { return .success }
            return .failure("command exited with code \(result.exitCode): \(result.output.prefix(1024))")
        } catch { return .failure(error.message) }
    }

    private func connect(_ host: String?, _ port: Int, until deadline: ContinuousClock.Instant) async -> ProbeOutcome {
        do throws(SandboxError) {
            close(try await open(host, port, until: deadline))
            return .success
        } catch { return .failure(error.message) }
    }

    private func open(
        _ host: String?,
        _ port: Int,
        until deadline: ContinuousClock.Instant
    ) async throws(SandboxError) -> Int32 {
        if let host { return try await sandbox.connect(host, port: port, until: deadline) }
        guard let place = await locate(port) else {
            throw SandboxError(.socket, "nothing in the pod listens on port \(port), nor on $PORT")
        }
        return try await sandbox.connect(place.address, port: place.port, until: deadline)
    }

    private func http(
        _ isSecure: Bool,
        _ host: String?,
        _ port: Int,
        _ path: String,
        _ headers: [ProbeHandler.Header],
        until deadline: ContinuousClock.Instant
    ) async -> ProbeOutcome {
        let pairs = headers.map { ($0.name, $0.value) }
        guard let request = ProbeHTTP.request(host: "\(host ?? podAddress):\(port)", path: path, headers: pairs) else {
            return .failure("the probe's path or headers cannot be sent: control characters or blanks")
        }
        var answer: [UInt8] = []
        do throws(SandboxError) {
            let fd = try await open(host, port, until: deadline)
            let connection = ProbeConnection(fd, until: deadline)
            if isSecure { try await connection.startTLS(name: pairs.first { $0.0.lowercased() == "host" }?.1) }
            try await connection.send(request)
            while answer.count < Self.answerLimit, ProbeHTTP.status(answer) == nil {
                let bytes = try await connection.receive()
                if bytes.isEmpty { break }
                answer += bytes
            }
        } catch {
            return .failure(error.code == .timedOut ? "HTTP probe failed: no answer in time" : error.message)
        }
        return ProbeHTTP.outcome(answer)
    }

    private func grpc(_ port: Int, _ service: String, until deadline: ContinuousClock.Instant) async -> ProbeOutcome {
        var check = GRPCHealthCheck(service: service)
        guard let request = check.request(host: "\(podAddress):\(port)") else {
            return .failure("the probe's service name is too long")
        }
        do throws(SandboxError) {
            let fd = try await open(nil, port, until: deadline)
            let connection = ProbeConnection(fd, until: deadline)
            try await connection.send(request)
            while true {
                if let outcome = check.outcome { return outcome }
                let bytes = try await connection.receive()
                if bytes.isEmpty { check.end() }
                try await connection.send(check.take(bytes))
            }
        } catch {
            return .failure(error.code == .timedOut ? "gRPC probe failed: no answer in time" : error.message)
        }
    }
}
