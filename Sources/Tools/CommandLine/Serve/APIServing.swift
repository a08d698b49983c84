import Bytes
import Glibc
import Reactor
import Resources
import Sandbox
import Servers
import Store
import TLS
import Wire

/// The API's ports: plain HTTP for the user of the machine, and TLS for everybody who proves who he is.
struct APIServing: Sendable {
    let choice: APIChoice
    let isolation: Isolation
    let log: ServeLog

    /// What came of it.
    struct Outcome: Sendable {
        /// `http://localhost:8080`; nil when there is none.
        var plain: String?
        /// `https://127.0.0.1:6443`; nil when there is none.
        var secure: String?
        var problems: [String] = []
        /// One for each way in: who fills one up does not bar the others.
        var servers: [HTTPServer] = []
    }

    /// Where the outcome stands once there is one.
    final class Place: Sendable {
        let outcome = Lock(Outcome())
    }

    func listen(_ identity: APIIdentity, _ handler: @escaping HTTPServer.Handler) async throws -> Outcome {
        var outcome = Outcome()
        if let port = choice.plainPort(isolation: isolation) {
            let server = HTTPServer(handler: handler)
            outcome.servers.append(server)
            await listenPlainly(server, port, &outcome)
        }
        if let address = choice.tlsAddress {
            let server = HTTPServer(handler: handler)
            outcome.servers.append(server)
            let bound: SocketAddress
            do { bound = try await server.listen(address, tls: try identity.context(address)) } catch {
                throw CommandError("the API cannot be served with TLS on \(address): \(error)")
            }
            let host = bound.isAny ? bound.with(host: "127.0.0.1") : bound
            outcome.secure = "https://\(host)"
            log.write("api=secure", ["address": "\(bound)"])
        }
        return outcome
    }

    /// Serves the port on 127.0.0.1, and on ::1 where there is one: nobody else shall answer to `localhost`.
    private func listenPlainly(_ server: HTTPServer, _ wish: UInt16, _ outcome: inout Outcome) async {
        // A port that clients were told before is tried again.
        let file = "\(choice.state.path)/api-bound"
        let last = readFile(file, limit: 16).flatMap { UInt16($0.prefix { $0 != "\n" }) }
        for port in [wish, last ?? 0, 0] {
            guard let bound = try? await server.listen(.loopback(port: port), isPrivate: true) else { continue }
            if let six = SocketAddress("::1", port: bound.port) {
                do { _ = try await server.listen(six, isPrivate: true) } catch {
                    if error.code == EADDRINUSE {
                        outcome.problems.append(
                            "another program has port \(bound.port) of [::1], which is localhost, too: name 127.0.0.1 to clients of the API"
                        )
                    }
                }
            }
            if bound.port != last { try? replaceFile(file, with: "\(bound.port)\n") }
            outcome.plain = "http://localhost:\(bound.port)"
            if wish != 0, bound.port != wish {
                outcome.problems.append(
                    "port \(wish) of 127.0.0.1 is taken: the API is served on \(bound.port); 'weft kubeconfig' tells clients"
                )
            }
            log.write("api=plain", ["address": "\(bound)"])
            return
        }
        outcome.problems.append("no port of 127.0.0.1 can be had for the API: only its socket serves it")
    }
}

/// `GET/POST kubeconfig`: what a client is told to find this API and to prove who it is.
struct KubeconfigRoute: Sendable {
    let socket: String
    let plain: String?
    let secure: String?
    let identity: APIIdentity?

    /// Answers `?user=NAME&group=G`; without a user the account is the machine's own.
    func answer(_ request: HTTPRequest, isOwner: Bool) -> HTTPResponse {
        guard isOwner else {
            return KubernetesAPI.refusal(
                APIError(code: 403, reason: .forbidden, message: "only the user of the machine gives accounts away")
            )
        }
        let user = request.queryValue("user")
        let groups = request.query.filter { $0.name == "group" }.map(\.value)
        do {
            if let secure, let identity {
                return .json(JSON.bytes(try Self.secure(secure, identity, user: user, groups: groups)))
            }
            guard user == nil, groups.isEmpty else {
                throw APIError.badRequest(
                    "accounts need TLS: start Weft with --api-tls 127.0.0.1:6443; the plain port knows only the user of the machine"
                )
            }
            guard let plain else {
                throw APIError.badRequest(
                    "this Weft serves its API on the socket \(socket) alone; start it with --api-port 8080 or --api-tls 127.0.0.1:6443"
                )
            }
            return .json(JSON.bytes(Self.file(["server": .string(plain)], [:], name: "weft")))
        } catch let error as APIError {
            return KubernetesAPI.refusal(error)
        } catch {
            return KubernetesAPI.refusal(.badRequest(String(describing: error)))
        }
    }

    private static func secure(
        _ server: String,
        _ identity: APIIdentity,
        user: String?,
        groups: [String]
    ) throws(TLSError) -> Value {
        let issued = try CertificateIssuer.client(
            name: user ?? "weft-admin",
            groups: user == nil ? ["system:masters"] : groups,
            days: APIIdentity.leafDays,
            by: identity.authority
        )
        let encode = { (text: String) in Value.string(Base64.encode(Array(text.utf8))) }
        return file(
            ["server": .string(server), "certificate-authority-data": encode(identity.authority.certificate)],
            ["client-certificate-data": encode(issued.certificate), "client-key-data": encode(issued.key)],
            name: user ?? "weft"
        )
    }

    private static func file(_ cluster: Value, _ user: Value, name: String) -> Value {
        let context: Value = ["cluster": "weft", "user": .string(name), "namespace": "default"]
        return [
            "apiVersion": "v1", "kind": "Config", "clusters": [["name": "weft", "cluster": cluster]],
            "users": [["name": .string(name), "user": user]],
            "contexts": [["name": "weft", "context": context]], "current-context": "weft", "preferences": [:],
        ]
    }
}

extension SocketAddress {
    fileprivate func with(host: String) -> SocketAddress { SocketAddress(host, port: port) ?? self }
}
