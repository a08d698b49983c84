import Glibc
import Resources
import Store
import Testing
import Wire

@testable import Servers

@Suite("Access to the API")
struct AccessTests {
    private func request(
        _ method: String = "GET",
        _ target: String = "/api",
        _ transport: RequestOrigin.Transport = .tcp,
        uid: UInt32? = 1000,
        headers: [(String, String)] = [("Host", "localhost:8080")]
    ) -> HTTPRequest {
        var request = HTTPRequest(method, target)
        request.origin.transport = transport
        request.origin.uid = uid
        for (name, value) in headers { request.headers.add(name, value) }
        return request
    }

    @Test(
        "the loopback port is for its user and root",
        arguments: [(1000, true), (0, true), (1001, false), (nil, false)]
    )
    func users(uid: UInt32?, passes: Bool) {
        #expect((LoopbackGuard.objection(to: request(uid: uid), user: 1000) == nil) == passes)
    }

    @Test(
        "a Host that is not this machine is refused: a name that was bound anew leads here",
        arguments: [
            ("localhost", true), ("localhost:8080", true), ("LOCALHOST:1", true), ("127.0.0.1:8080", true),
            ("[::1]:8080", true), ("[::1]", true), ("evil.example:8080", false), ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false), ("evil.example:localhost", false), ("", false), ("localhost:80a", false),
        ]
    )
    func hosts(host: String, passes: Bool) {
        let asked = request(headers: [("Host", host)])
        #expect((LoopbackGuard.objection(to: asked, user: 1000) == nil) == passes)
    }

    @Test(
        "pages of other sites are refused",
        arguments: [
            ("Origin", "http://localhost:8080", true), ("Origin", "http://evil.example", false),
            ("Origin", "null", false),
            ("Origin", "http://localhost:3000", false), ("Sec-Fetch-Site", "cross-site", false),
            ("Sec-Fetch-Site", "same-site", false), ("Sec-Fetch-Site", "none", true),
        ]
    )
    func pages(name: String, value: String, passes: Bool) {
        let asked = request(headers: [("Host", "localhost:8080"), (name, value)])
        #expect((LoopbackGuard.objection(to: asked, user: 1000) == nil) == passes)
        var secure = asked
        secure.origin.transport = .tls
        #expect((LoopbackGuard.objection(to: secure, user: 1000) == nil) == passes)
    }

    @Test("two Hosts are none")
    func twoHosts() {
        let asked = request(headers: [("Host", "localhost"), ("Host", "localhost")])
        #expect(LoopbackGuard.objection(to: asked, user: 1000) != nil)
    }

    private func facts(_ method: String, _ target: String) throws -> RequestFacts {
        let request = HTTPRequest(method, target)
        return RequestFacts(request, try #require(request.segments))
    }

    @Test(
        "a request is put in the words of rules",
        arguments: [
            ("GET", "/api/v1/namespaces/a/pods/p", "get", "", "pods", "a", "p"),
            ("GET", "/api/v1/namespaces/a/pods", "list", "", "pods", "a", ""),
            ("GET", "/api/v1/pods?watch=true", "watch", "", "pods", "", ""),
            ("GET", "/api/v1/namespaces/a/pods/p/log", "get", "", "pods/log", "a", "p"),
            ("GET", "/api/v1/namespaces/a/pods/p/exec", "create", "", "pods/exec", "a", "p"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "deletecollection", "apps", "deployments", "a", ""),
            ("GET", "/api/v1/namespaces/a", "get", "", "namespaces", "a", "a"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update", "", "namespaces/finalize", "a", "a"),
            ("POST", "/apis/weft.dev/v1alpha1/shutdown", "create", "weft.dev", "shutdown", "", ""),
        ]
    )
    func words(
        method: String,
        target: String,
        verb: String,
        group: String,
        resource: String,
        namespace: String,
        name: String
    ) throws {
        let facts = try facts(method, target)
        #expect(facts.verb == verb)
        #expect(facts.group == group)
        #expect(facts.qualifiedResource == resource)
        #expect(facts.namespace == namespace)
        #expect(facts.name == name)
    }

    @Test("rules allow what they name")
    func rules() throws {
        let reading = RoleRule(verbs: ["get"], groups: [""], resources: ["pods", "*/scale"], names: ["p"])
        #expect(reading.allows(try facts("GET", "/api/v1/namespaces/a/pods/p")))
        #expect(!reading.allows(try facts("GET", "/api/v1/namespaces/a/pods/q")))
        #expect(!reading.allows(try facts("GET", "/api/v1/namespaces/a/pods")))
        #expect(!reading.allows(try facts("GET", "/api/v1/namespaces/a/pods/p/log")))
        #expect(!reading.allows(try facts("DELETE", "/api/v1/namespaces/a/pods/p")))
        let paths = RoleRule(verbs: ["get"], paths: ["/healthz", "/openapi/*"])
        #expect(paths.allows(try facts("GET", "/openapi/v2")))
        #expect(!paths.allows(try facts("GET", "/metrics")))
        #expect(
            RoleRule(verbs: ["get"], groups: [""], resources: ["pods"]).isCovered(by: [
                RoleRule(verbs: ["*"], groups: ["*"], resources: ["*"])
            ])
        )
        #expect(!RoleRule(verbs: ["*"], groups: [""], resources: ["pods"]).isCovered(by: [reading]))
        #expect(!RoleRule(verbs: ["get"], groups: [""], resources: ["pods"]).isCovered(by: [reading]))
    }

    @Test("tokens prove an account until their time is over, and no other text does")
    func tokens() throws {
        let tokens = AccountTokens(secret: Array(repeating: 7, count: 32))
        let claims = AccountTokens.Claims(
            namespace: "a",
            account: "robot",
            accountUID: "u",
            audiences: [AccountTokens.issuer],
            boundKind: "Pod",
            boundName: "p",
            boundUID: "v"
        )
        let token = try #require(tokens.issue(claims, from: 1000, seconds: 600))
        #expect(tokens.read(token, now: 1001) == claims)
        #expect(tokens.read(token, now: 1600) == nil)
        #expect(tokens.read(token, now: 900) == nil)
        #expect(AccountTokens(secret: Array(repeating: 8, count: 32)).read(token, now: 1001) == nil)
        let parts = token.split(separator: ".").map(String.init)
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
        for wrong in [
            "", "a.b.c", "\(parts[0]).\(parts[1]).", "\(none).\(parts[1]).", "\(none).\(parts[1]).\(parts[2])",
            token + "A",
        ] {
            #expect(tokens.read(wrong, now: 1001) == nil)
        }
    }

    @Test("a bound token is worth nothing when its object, or its account, is another one or gone")
    func boundTokens() async throws {
        let store = try await SQLiteStore.open(path: ":memory:")
        let account = try await store.create(Object(ResourceTypes.serviceAccounts, namespace: "default", name: "robot"))
        let secret = Object(ResourceTypes.secrets, namespace: "default", name: "s")
        let bound = try await store.create(secret)
        let tokens = AccountTokens(secret: Array(repeating: 7, count: 32))
        var claims = AccountTokens.Claims(
            namespace: "default",
            account: "robot",
            accountUID: account.uid,
            audiences: [AccountTokens.issuer],
            boundKind: "Secret",
            boundName: "s",
            boundUID: bound.uid
        )
        let authenticator = Authenticator(store: store, tokens: tokens) { Timestamp(seconds: 1001) }
        let token = try #require(tokens.issue(claims, from: 1000, seconds: 600))
        claims.boundKind = ""
        let free = try #require(tokens.issue(claims, from: 1000, seconds: 600))
        let isGood = { (token: String) async throws -> Bool in
            try await authenticator.account(token, audience: AccountTokens.issuer) != nil
        }
        #expect(try await isGood(token))
        #expect(try await isGood(free))
        #expect(try await authenticator.account(token, audience: "other") == nil)
        let key = try #require(secret.key)
        try await store.delete(key)
        try await store.create(secret)
        #expect(try await isGood(token) == false)
        #expect(try await isGood(free))
        try await store.delete(try #require(account.key))
        #expect(try await isGood(free) == false)
    }

    @Test("an audit that has reached its size begins anew, and the oldest goes")
    func auditFiles() throws {
        var template = Array("/tmp/weft-audit-XXXXXX".utf8CString)
        let folder = String(cString: mkdtemp(&template))
        let path = "\(folder)/audit.log"
        let log = try #require(AuditLog(path: path, limit: 100))
        for number in 0..<40 { log.write(["number": .int(Int64(number)), "text": "some more"]) }
        var numbers: [Int] = []
        for file in [4, 3, 2, 1].map({ "\(path).\($0)" }) + [path] {
            var facts = stat()
            #expect(stat(file, &facts) == 0 && facts.st_mode & 0o777 == 0o600 && facts.st_size <= 100)
            let text = String(decoding: try #require(Self.bytes(of: file)), as: UTF8.self)
            for line in text.split(separator: "\n") {
                numbers.append(try #require(try JSON.parse(Array(line.utf8)).integer("number")))
            }
            unlink(file)
        }
        // What is there is whole and in order, up to the newest.
        #expect(numbers.count > 8 && numbers == Array((40 - numbers.count)..<40))
        #expect(log.lostEvents == 0 && rmdir(folder) == 0)
    }

    private static func bytes(of file: String) -> [UInt8]? {
        let descriptor = open(file, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &bytes, bytes.count)
        return count >= 0 ? Array(bytes[..<count]) : nil
    }

    @Test("a flow that floods waits for itself: others are served in turn, and too many are refused")
    func fairness() async throws {
        var limits = RequestGate.Limits()
        limits.atOnce = 1
        limits.waitingPerFlow = 8
        let gate = RequestGate(limits: limits)
        let order = Order()
        let hold = AsyncStream.makeStream(of: Void.self)
        async let first: Void = gate.pass("a") {
            for await _ in hold.stream { break }
        }
        await order.until { gate.isBusy }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { try? await gate.pass("a") { await order.add("a\(number)") } }
            }
            await order.until { gate.waitingCount == 8 }
            group.addTask { try? await gate.pass("b") { await order.add("b") } }
            await order.until { gate.waitingCount == 9 }
            await #expect(throws: APIError.self) { try await gate.pass("a") {} }
            hold.continuation.yield()
        }
        try await first
        let names = await order.names
        #expect(names.count == 9)
        #expect(names.firstIndex(of: "b") == 1)
        #expect(gate.refusals == 1)
    }

    private actor Order {
        private(set) var names: [String] = []

        func add(_ name: String) { names.append(name) }

        func until(_ condition: @Sendable () -> Bool) async {
            while !condition() { await Task.yield() }
        }
    }
}
