import Reactor
import Wire

/// `weft xds`: what a client needs to join the mesh over xDS, and who has.
enum XDSCommand {
    static let command = Command(
        "xds",
        operands: "bootstrap|clients",
        summary: "print a bootstrap for an xDS client (Envoy, gRPC), or list those that are connected",
        details: """
            'bootstrap' prints what a client is started with: for Envoy the file behind -c, for gRPC the file that
            $GRPC_XDS_BOOTSTRAP names. A gRPC client then dials 'xds:///SERVICE', 'xds:///SERVICE.NAMESPACE' or with a port
            'xds:///SERVICE:8080'. An Envoy gets listeners for load balancers and Ingresses, --port-offset above the ports that
            weft-proxy has. 'clients' shows every stream with what its client accepted and refused.
            """,
        options: [
            Option("type", value: "TYPE", help: "bootstrap: grpc (default) or envoy"),
            Option("node", value: "ID", help: "bootstrap: how the client calls itself (default: its type)"),
            Option("network", value: "PLACE", help: "bootstrap: where it dials from: host (default) or pod"),
            Option(
                "port-offset",
                value: "N",
                help: "bootstrap: how far above weft-proxy's ports Envoy listens (default: 10000)"
            ),
            Option(
                "admin-port",
                value: "PORT",
                help: "bootstrap: the port of Envoy's admin on 127.0.0.1 (default: none)"
            ),
            Option("delta", help: "bootstrap: Envoy asks for changes only"),
            Option("address", value: "ADDRESS", help: "bootstrap: the address of --xds-address in place of the socket"),
            Option(
                "tls",
                value: "FOLDER",
                help:
                    "bootstrap: the address has TLS; FOLDER has ca.crt (who signs the server's certificate), tls.crt and tls.key"
            ),
            .namespace, .jsonOutput, .stateDirectory,
        ],
        examples: [
            "weft xds bootstrap > grpc.json && GRPC_XDS_BOOTSTRAP=grpc.json ./client xds:///orders",
            "weft xds bootstrap --type envoy --delta > envoy.yaml && envoy -c envoy.yaml", "weft xds clients -o json",
        ],
        operandCount: 1...1
    ) { arguments in
        switch arguments.operands[0] {
        case "bootstrap":
            let bootstrap = try XDSBootstrap(arguments)
            let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
            if bootstrap.isYAML, format != .json {
                Terminal.print(YAML.write(bootstrap.value), terminator: "")
            } else {
                Terminal.print(JSON.write(bootstrap.value, pretty: true))
            }
        case "clients": try await listClients(arguments)
        default:
            let known = ["bootstrap", "clients"]
            let guess = Spelling.nearest(to: arguments.operands[0], among: known).map { "; did you mean \($0)?" } ?? ""
            throw UsageError("'\(arguments.operands[0])' is none of \(known.joined(separator: ", "))\(guess)")
        }
        return .success
    }

    private static func listClients(_ arguments: Arguments) async throws {
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml])
        let report = try await APIClient.connected(arguments).get("/apis/weft.dev/v1alpha1/xds")
        switch format {
        case .json: Terminal.print(JSON.write(report, pretty: true))
        case .yaml: Terminal.print(YAML.write(report), terminator: "")
        default: printTable(report)
        }
    }

    private static func printTable(_ report: Value) {
        var table = TextTable(["CLIENT", "KIND", "PROTOCOL", "TYPE", "NAMES", "SENT", "ACCEPTED", "STATE"])
        for client in report["clients"]?.arrayValue ?? [] {
            func text(_ name: String) -> String { client[name]?.stringValue ?? "" }
            let types = client["types"]?.arrayValue ?? []
            for type in types {
                func word(_ name: String) -> String { type[name]?.stringValue ?? "" }
                let error = word("error")
                let names = (type["refused"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ", ")
                table.rows.append([
                    text("id"), text("kind"), text("protocol"), word("type"),
                    type["subscribed"]?.stringValue ?? "\(type["subscribed"]?.intValue ?? 0)",
                    String(word("sent").prefix(8)), String(word("accepted").prefix(8)),
                    error.isEmpty
                        ? (word("sent") == word("accepted") ? "in sync" : "waiting") : "refused \(names): \(error)",
                ])
            }
            if types.isEmpty {
                table.rows.append([text("id"), text("kind"), text("protocol"), "-", "-", "-", "-", "-"])
            }
        }
        Terminal.print(table.rows.isEmpty ? "no xDS client is connected" : table.text())
    }
}

/// What a client of xDS is started with.
struct XDSBootstrap {
    private enum Kind: String, CaseIterable { case grpc, envoy }

    private let kind: Kind
    private let node: String
    private let metadata: [(String, Value)]
    private let target: String
    private let isDelta: Bool
    private let adminPort: Int
    private let tls: String?

    init(_ arguments: Arguments) throws {
        let text = arguments.value("type") ?? "grpc"
        guard let kind = Kind(rawValue: text) else { throw UsageError("--type takes grpc or envoy, not '\(text)'") }
        let network = arguments.value("network") ?? "host"
        guard ["host", "pod"].contains(network) else {
            throw UsageError("--network takes host or pod, not '\(network)'")
        }
        self.kind = kind
        node = arguments.value("node") ?? kind.rawValue
        var metadata: [(String, Value)] = [("weft.dev/network", .string(network))]
        if kind == .grpc {
            metadata.append(("weft.dev/namespace", .string(arguments.value("namespace") ?? "default")))
        } else {
            let offset = try arguments.integer("port-offset", default: 10_000, in: 0...65_534)
            metadata.append(("weft.dev/port-offset", .int(Int64(offset))))
        }
        self.metadata = metadata
        isDelta = arguments.isSet("delta")
        adminPort = try arguments.integer("admin-port", default: -1, in: 0...65_535)
        tls = arguments.value("tls").map { FileReader.absolute($0) }
        guard tls == nil || arguments.value("address") != nil else {
            throw UsageError("--tls goes with --address: the socket in the state directory has no TLS")
        }
        let state = try StateDirectory(arguments)
        target = arguments.value("address") ?? "unix:\(DiscoveryChoice.socket(state))"
    }

    /// Written as YAML unless JSON is asked for.
    var isYAML: Bool { kind == .envoy }

    var value: Value { kind == .grpc ? grpc : envoy }

    private var grpc: Value {
        [
            "xds_servers": [
                ["server_uri": .string(target), "channel_creds": [credentials], "server_features": ["xds_v3"]]
            ],
            "node": ["id": .string(node), "metadata": .object(Fields(metadata))],
        ]
    }

    private var credentials: Value {
        guard let tls else { return ["type": "insecure"] }
        return [
            "type": "tls",
            "config": [
                "ca_certificate_file": .string("\(tls)/ca.crt"), "certificate_file": .string("\(tls)/tls.crt"),
                "private_key_file": .string("\(tls)/tls.key"),
            ],
        ]
    }

    private static let cluster = "weft-xds"

    private var envoy: Value {
        let ads: Value = ["resource_api_version": "V3", "ads": [:]]
        var value: Value = [
            "node": ["id": .string(node), "cluster": "gateway", "metadata": .object(Fields(metadata))],
            "dynamic_resources": [
                "ads_config": [
                    "api_type": isDelta ? "DELTA_GRPC" : "GRPC", "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [["envoy_grpc": ["cluster_name": .string(Self.cluster)]]],
                ], "lds_config": ads, "cds_config": ads,
            ],
            "static_resources": ["clusters": [server]],
        ]
        if adminPort >= 0 {
            value["admin"] = [
                "address": ["socket_address": ["address": "127.0.0.1", "port_value": .int(Int64(adminPort))]]
            ]
        }
        return value
    }

    private var server: Value {
        let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        let keepalive: Value = ["interval": "30s", "timeout": "5s"]
        let options: Value = [
            "@type": .string("type.googleapis.com/\(name)"),
            "explicit_http_config": ["http2_protocol_options": ["connection_keepalive": keepalive]],
        ]
        let endpoint: Value = ["endpoint": ["address": address]]
        let isName = !target.hasPrefix("unix:") && SocketAddress(host, port: 0) == nil
        var cluster: Value = [
            "name": .string(Self.cluster), "type": isName ? "STRICT_DNS" : "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": .object(Fields([(name, options)])),
            "load_assignment": [
                "cluster_name": .string(Self.cluster), "endpoints": [["lb_endpoints": [endpoint]]],
            ],
        ]
        if let tls { cluster["transport_socket"] = transport(tls) }
        return cluster
    }

    /// The server has to show a certificate for its address.
    private func transport(_ folder: String) -> Value {
        func file(_ name: String) -> Value { ["filename": .string("\(folder)/\(name)")] }
        let isIP = SocketAddress(host, port: 0) != nil
        let name: Value = ["san_type": isIP ? "IP_ADDRESS" : "DNS", "matcher": ["exact": .string(host)]]
        var context: Value = [
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": [
                "tls_certificates": [["certificate_chain": file("tls.crt"), "private_key": file("tls.key")]],
                "validation_context": ["trusted_ca": file("ca.crt"), "match_typed_subject_alt_names": [name]],
                "alpn_protocols": ["h2"],
            ],
        ]
        if !isIP { context["sni"] = .string(host) }
        return ["name": "envoy.transport_sockets.tls", "typed_config": context]
    }

    /// The host of the address, without brackets.
    private var host: String {
        String(target[..<(target.lastIndex(of: ":") ?? target.endIndex)].filter { $0 != "[" && $0 != "]" })
    }

    private var address: Value {
        if target.hasPrefix("unix:") { return ["pipe": ["path": .string(String(target.dropFirst(5)))]] }
        let colon = target.lastIndex(of: ":") ?? target.endIndex
        let port = colon < target.endIndex ? Int64(target[target.index(after: colon)...]) ?? 0 : 0
        return ["socket_address": ["address": .string(host), "port_value": .int(port)]]
    }
}
