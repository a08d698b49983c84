import Glibc
import Reactor
import Servers
import Testing

@Suite("DNS")
struct DNSTests {
    static let table: DNSTable = {
        var table = DNSTable()
        table.add(
            service: "web",
            namespace: "shop",
            addresses: ["10.96.1.2"],
            ports: [.init(name: "http", transport: "TCP", number: 80)]
        )
        table.add(
            service: "db",
            namespace: "shop",
            addresses: ["10.244.0.4", "10.244.0.5"],
            ports: [.init(name: "pg", transport: "tcp", number: 5432)],
            hosts: [("db-0", "10.244.0.4"), ("db-1", "10.244.0.5")]
        )
        table.add(service: "empty", namespace: "shop", addresses: [], ports: [])
        table.add(alias: "near", namespace: "shop", target: "Web.shop.svc.cluster.local.")
        table.add(alias: "far", namespace: "shop", target: "x.y.example")
        table.add(alias: "loop", namespace: "shop", target: "loop.shop.svc.cluster.local")
        table.add(alias: "two", namespace: "shop", target: "near.shop.svc.cluster.local")
        return table
    }()

    @Test(
        "names of services, pods and ports resolve as Kubernetes has them",
        arguments: [
            ("web.shop.svc.cluster.local", 1, .records([.a([10, 96, 1, 2])], additional: [])),
            ("web.shop.svc.cluster.local", 28, .noData), ("empty.shop.svc.cluster.local", 1, .noData),
            ("db-1.db.shop.svc.cluster.local", 1, .records([.a([10, 244, 0, 5])], additional: [])),
            ("nobody.shop.svc.cluster.local", 1, .noName), ("shop.svc.cluster.local", 1, .noData),
            ("cluster.local", 1, .noData), ("example.org", 1, .elsewhere), ("notcluster.local", 1, .elsewhere),
            ("10-244-0-9.shop.pod.cluster.local", 1, .records([.a([10, 244, 0, 9])], additional: [])),
            ("10-244-0.shop.pod.cluster.local", 1, .noName), ("_tcp.web.shop.svc.cluster.local", 33, .noData),
            (
                "near.shop.svc.cluster.local", 1,
                .alias(target: "web.shop.svc.cluster.local", records: [.a([10, 96, 1, 2])])
            ),
            (
                "two.shop.svc.cluster.local", 1,
                .alias(target: "web.shop.svc.cluster.local", records: [.a([10, 96, 1, 2])])
            ),
            ("near.shop.svc.cluster.local", 28, .alias(target: "web.shop.svc.cluster.local", records: [])),
            ("near.shop.svc.cluster.local", 5, .alias(target: "web.shop.svc.cluster.local", records: [])),
            ("far.shop.svc.cluster.local", 1, .alias(target: "x.y.example", records: [])),
            ("loop.shop.svc.cluster.local", 1, .alias(target: "loop.shop.svc.cluster.local", records: [])),
            ("2.1.96.10.in-addr.arpa", 12, .records([.ptr("web.shop.svc.cluster.local")], additional: [])),
            (
                "_http._tcp.web.shop.svc.cluster.local", 33,
                .records(
                    [.srv(priority: 0, weight: 100, port: 80, target: "web.shop.svc.cluster.local")],
                    additional: [("web.shop.svc.cluster.local", .a([10, 96, 1, 2]))]
                )
            ),
        ] as [(String, UInt16, DNSAnswer)]
    )
    func names(name: String, type: UInt16, expected: DNSAnswer) {
        #expect(Self.table.answer(name, type: type) == expected)
    }

    @Test("a headless service answers with all its pods")
    func headless() {
        guard case .records(let records, _) = Self.table.answer("db.shop.svc.cluster.local", type: 1) else {
            Issue.record("no records")
            return
        }
        #expect(records.count == 2)
    }

    static func question(_ name: String, type: UInt16 = 1, flags: [UInt8] = [1, 0], tail: [UInt8] = []) -> [UInt8] {
        var bytes: [UInt8] = [0x12, 0x34] + flags + [0, 1, 0, 0, 0, 0, 0, tail.isEmpty ? 0 : 1]
        for label in name.split(separator: ".") { bytes += [UInt8(label.utf8.count)] + Array(label.utf8) }
        return bytes + [0, UInt8(type >> 8), UInt8(type & 0xFF), 0, 1] + tail
    }

    @Test("the addresses of another's answer are read behind its aliases, and nothing is read from broken ones")
    func replies() throws {
        let query = try DNSQuery(Self.question("x.y.example"))
        let answer = DNSWriter.answer(query, .alias(target: "z.example", records: [.a([9, 8, 7, 6])]), limit: 512)
        #expect(answer[7] == 2 && answer[9] == 0)
        #expect(DNSReply.addresses(in: answer, type: 1) == [.a([9, 8, 7, 6])])
        #expect(DNSReply.addresses(in: answer, type: 28).isEmpty)
        for length in 0..<answer.count { #expect(DNSReply.addresses(in: Array(answer[..<length]), type: 1).isEmpty) }
    }

    @Test("a question is read in lower case and goes back as it came")
    func parse() throws {
        let query = try DNSQuery(Self.question("WeB.shop.SVC.cluster.local"))
        #expect(query.name == "web.shop.svc.cluster.local")
        #expect(query.id == 0x1234 && query.type == 1 && query.payloadSize == 512)
        let answer = DNSWriter.answer(query, .records([.a([1, 2, 3, 4])], additional: []), limit: 512)
        #expect(Array(answer[12...].prefix(28)) == Array(Self.question("WeB.shop.SVC.cluster.local")[12...].prefix(28)))
        #expect(answer.suffix(4) == [1, 2, 3, 4] && answer[7] == 1 && answer[3] & 0xF == 0)
    }

    @Test("EDNS tells how much the client takes, within reason")
    func edns() throws {
        let option: (UInt16) -> [UInt8] = { [0, 0, 41, UInt8($0 >> 8), UInt8($0 & 0xFF), 0, 0, 0, 0, 0, 0] }
        #expect(try DNSQuery(Self.question("a", tail: option(4096))).payloadSize == 1232)
        #expect(try DNSQuery(Self.question("a", tail: option(100))).payloadSize == 512)
    }

    @Test("an answer that does not fit is cut and says so")
    func truncation() throws {
        let query = try DNSQuery(Self.question("a.b"))
        let many = (0..<100).map { DNSRecord.a([10, 0, 0, UInt8($0)]) }
        let answer = DNSWriter.answer(query, .records(many, additional: []), limit: 512)
        #expect(answer.count <= 512 && answer[2] & 2 != 0)
        #expect(DNSWriter.answer(query, .records(many, additional: []), limit: 65_535).count > 1600)
    }

    @Test(
        "hostile questions are refused without harm",
        arguments: [
            [], [1, 2, 3], Array(question("a").dropLast(3)), question("a", flags: [0x81, 0]),
            question("a", flags: [0x29, 0]),
            [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1],
            [0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1],
            [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 64] + [UInt8](repeating: 97, count: 64) + [0, 0, 1, 0, 1],
            [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 97, 46, 98, 0, 0, 1, 0, 1],
            [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 97, 0, 0, 1, 0, 1, 0, 0, 41, 16],
            [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + Array(repeating: [UInt8]([1, 97]), count: 200).joined() + [
                0, 0, 1, 0, 1,
            ],
        ] as [[UInt8]]
    )
    func hostile(bytes: [UInt8]) {
        #expect(throws: DNSQuery.Fault.self) { try DNSQuery(bytes) }
    }

    @Test("random bytes never harm the reader")
    func random() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            if bytes.count > 12 { bytes.replaceSubrange(2..<12, with: [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]) }
            _ = try? DNSQuery(bytes)
        }
    }

    /// Bound sockets on one loopback port, as a pod's would be.
    static func sockets() throws -> (udp: Int32, tcp: Int32, port: UInt16) {
        let tcp = try Socket.listen(.loopback(port: 0))
        let port = try #require(Socket.localAddress(tcp)).port
        let udp = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(udp, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
        return (udp, tcp, port)
    }

    /// A client in another language asks over UDP and TCP.
    static func ask(_ name: String, _ port: UInt16, overTCP: Bool) throws -> String {
        let script = """
            import socket, struct, sys
            name, port, tcp = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "tcp"
            q = b"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00"
            q += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\x00\\x00\\x01\\x00\\x01"
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
            s.settimeout(5)
            s.connect(("127.0.0.1", port))
            s.send(struct.pack("!H", len(q)) + q if tcp else q)
            a = s.recv(4096)
            if tcp:
                while len(a) < 2 or len(a) < 2 + struct.unpack("!H", a[:2])[0]: a += s.recv(4096)
                a = a[2:]
            print(a[3] & 15, ".".join(map(str, a[-4:])) if a[7] else "-")
            """
        let pipe = try #require(
            popen("/usr/bin/python3 -c '\(script)' \(name) \(port) \(overTCP ? "tcp" : "udp")", "r")
        )
        defer { pclose(pipe) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, pipe) != nil else { return "" }
        return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    @Test("a real client is answered over UDP and TCP, and other names are forwarded")
    func server() async throws {
        let upstream = DNSServer(resolvers: [])
        var other = DNSTable()
        other.add(service: "x", namespace: "y", addresses: ["9.9.9.9"], ports: [])
        upstream.replace(other)
        let behind = try Self.sockets()
        upstream.add("up", udp: behind.udp, tcp: behind.tcp)

        let server = DNSServer(resolvers: [.loopback(port: behind.port)])
        server.replace(Self.table)
        let front = try Self.sockets()
        server.add("pod", udp: front.udp, tcp: front.tcp)
        for overTCP in [false, true] {
            #expect(try Self.ask("web.shop.svc.cluster.local", front.port, overTCP: overTCP) == "0 10.96.1.2")
            #expect(try Self.ask("nobody.shop.svc.cluster.local", front.port, overTCP: overTCP) == "3 -")
            // The resolver behind has no resolvers of its own: its failure comes through.
            #expect(try Self.ask("example.org", front.port, overTCP: overTCP) == "2 -")
            // An alias of our own, and one whose name the resolver behind does not know either.
            #expect(try Self.ask("near.shop.svc.cluster.local", front.port, overTCP: overTCP) == "0 10.96.1.2")
            #expect(try Self.ask("far.shop.svc.cluster.local", front.port, overTCP: overTCP).hasPrefix("0 "))
        }
        await server.shutdown()
        await upstream.shutdown()
    }
}
