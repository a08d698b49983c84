import CommandLine
import Controllers
import Glibc
import Resources
import Servers
import Testing
import Wire

@Suite("Parts of the daemon")
struct ServeTests {
    @Test("two daemons never have the same addresses, and a block that is given free is had again")
    func claims() throws {
        var template = Array("/tmp/weft-claim-XXXXXX\0".utf8CString)
        let folder = String(cString: mkdtemp(&template))
        defer {
            unlink("\(folder)/b")
            rmdir(folder)
        }
        let first = HostClaim(file: "\(folder)/a", isServed: false)
        let second = HostClaim(file: "\(folder)/b", isServed: false)
        #expect(first.addresses != second.addresses)
        #expect(first.isFirst == (first.nodeAddress == "127.0.0.1"))
        #expect(second.nodeAddress == "127.\(second.addresses.block).255.254")
        // A proxy that still serves holds the claim: the next daemon has the same addresses and the same port.
        try second.remember(ingressPort: 8000)
        let next = HostClaim(file: "\(folder)/b", isServed: true)
        #expect(next.addresses == second.addresses && next.ingressPort == 8000 && next.held() < 0)
        second.release()
        #expect(next.held() >= 0)
        next.release()
        // Nothing serves: the addresses are had again if nobody took them, the port is chosen anew.
        let later = HostClaim(file: "\(folder)/b", isServed: false)
        #expect(later.addresses == second.addresses && later.ingressPort == nil)
        later.release()
        first.release()
    }

    @Test("whoever asks late hears what was said before, and everybody hears the end")
    func progress() async {
        let hub = ProgressHub()
        #expect(!hub.hasBegun)
        hub.begin()
        hub.say("one")
        let early = hub.lines()
        hub.say("two")
        hub.finish()
        for stream in [early, hub.lines()] {
            var lines: [String] = []
            for await line in stream { lines.append(line) }
            #expect(lines == ["one", "two"])
        }
        #expect(hub.hasBegun)
    }

    @Test("a second daemon on the same state is refused by the first one's pid")
    func locks() throws {
        try inDirectory { path in
            let state = StateDirectory(path: path)
            let lock = try DaemonLock(state)
            do throws(CommandError) {
                _ = try DaemonLock(state)
                Issue.record("two daemons on one state")
            } catch {
                #expect(error.message.contains("pid \(getpid())"))
                #expect(error.message.contains(path))
            }
            #expect(DaemonLock.holder(of: state) == "\(getpid())")
            lock.release()
            #expect(DaemonLock.holder(of: state) == nil)
            try DaemonLock(state).release()
        }
    }

    @Test("a pid file that says nothing is no obstacle")
    func damagedLock() throws {
        try inDirectory { path in
            let state = StateDirectory(path: path)
            for text in ["", "\u{0}\u{7f}", "-1 -1", String(repeating: "9", count: 1000)] {
                let file = try #require(fopen(state.pidFile, "w"))
                fputs(text, file)
                fclose(file)
                #expect(DaemonLock.holder(of: state) == nil)
                let lock = try DaemonLock(state)
                #expect(DaemonLock.holder(of: state) == "\(getpid())")
                lock.release()
            }
        }
    }

    @Test("log lines are one line each, whatever is in them")
    func logs() throws {
        try inDirectory { path in
            ServeLog(path: "\(path)/serve.log").write("a=b", ["error": "two\nlines \"quoted\"", "plain": "word"])
            let file = try #require(fopen("\(path)/serve.log", "r"))
            defer { fclose(file) }
            var bytes = [UInt8](repeating: 0, count: 1024)
            let text = String(decoding: bytes[..<fread(&bytes, 1, bytes.count, file)], as: UTF8.self)
            #expect(text.hasSuffix(#" a=b error="two\nlines \"quoted\"" plain=word"# + "\n"))
        }
    }

    @Test("names of Services lead to their addresses, those of headless ones to their ready pods")
    func names() {
        var state = ClusterState()
        var service = Object(ResourceTypes.services, namespace: "shop", name: "web")
        service.spec = ["clusterIP": "10.96.1.2", "ports": [["name": "http", "port": 80]]]
        var headless = Object(ResourceTypes.services, namespace: "shop", name: "db")
        headless.spec = [
            "clusterIP": "None", "selector": ["app": "db"], "ports": [["name": "sql", "port": 1, "targetPort": 5432]],
        ]
        for object in [service, headless] {
            state.set(ObjectKey(ResourceTypes.services, namespace: "shop", name: object.name), object)
        }
        for (name, ready) in [("db-0", "True"), ("db-1", "False")] {
            var pod = Object(ResourceTypes.pods, namespace: "shop", name: name)
            pod.labels = ["app": "db"]
            pod.spec = ["hostname": .string(name), "subdomain": "db", "containers": []]
            pod.status = [
                "phase": "Running", "podIP": .string("10.244.0.\(name.utf8.last ?? 0)"),
                "conditions": [["type": "Ready", "status": .string(ready)]],
            ]
            state.set(ObjectKey(ResourceTypes.pods, namespace: "shop", name: name), pod)
        }
        let table = DNSTable(state)
        func addresses(_ name: String) -> [[UInt8]]? {
            guard case .records(let records, _) = table.answer("\(name).shop.svc.cluster.local", type: 1) else {
                return nil
            }
            return records.compactMap { record in
                if case .a(let bytes) = record { return bytes }
                return nil
            }
        }
        #expect(addresses("web") == [[10, 96, 1, 2]])
        #expect(addresses("db") == [[10, 244, 0, 48]])
        #expect(addresses("db-0.db") == [[10, 244, 0, 48]])
        #expect(addresses("db-1.db") == nil)
        #expect(addresses("nobody") == nil)
    }

    private func inDirectory(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/weft-serve-XXXXXX".utf8CString)
        let path = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer {
            for name in ["weft.pid", "serve.log", ""] { remove("\(path)/\(name)") }
        }
        try body(path)
    }
}
