import Glibc
import Reactor
import Servers
import Testing

@Suite("Keepers", .timeLimit(.minutes(1)))
struct KeeperTests {
    /// A proxy's side of the talk.
    final class Peer {
        let loop: HandlerLoop
        let channel: DescriptorChannel
        var got: [(message: KeeperMessage?, fd: Int32)] = []
        var hasEnded = false

        init(_ path: String) throws {
            loop = try HandlerLoop()
            channel = try DescriptorChannel(try DescriptorChannel.connect(path), loop: loop)
            channel.onMessage = { [unowned self] in got.append((KeeperMessage($0), $1)) }
            channel.onEnd = { [unowned self] in hasEnded = true }
        }

        /// Says that it starts; what the keeper holds.
        func start() -> [Int32] {
            channel.send(KeeperMessage.hello(wantsSockets: true).bytes)
            while got.last?.message != .end, !hasEnded { loop.runOnce() }
            return got.map(\.fd).filter { $0 >= 0 }
        }

        deinit {
            channel.close()
            for one in got where one.fd >= 0 { close(one.fd) }
        }
    }

    /// A keeper on the shared loop.
    ///
    /// Safety: `keeper` is touched on that loop's thread only.
    final class Kept: @unchecked Sendable {
        private var keeper: ListenerKeeper?

        func listen(_ path: String, patience: UInt64) async throws {
            try await LoopThread.shared.run { loop throws(SystemError) in
                self.keeper = try ListenerKeeper(try DescriptorDoor.listen(path), loop: loop, patience: patience)
            }
        }

        var count: Int { get async { await LoopThread.shared.run { _ in self.keeper?.count ?? 0 } } }

        func leaveAlone() async { await LoopThread.shared.run { _ in self.keeper?.isAttended = false } }

        func shutdown() async { await LoopThread.shared.run { _ in self.keeper?.shutdown() } }
    }

    static func withKeeper(patience: UInt64 = 60_000, _ body: (Kept, String) async throws -> Void) async throws {
        var template = Array("/tmp/weft-keeper-XXXXXX\0".utf8CString)
        let path = String(cString: mkdtemp(&template))
        let keeper = Kept()
        try await keeper.listen("\(path)/sock", patience: patience)
        try await body(keeper, "\(path)/sock")
        await keeper.shutdown()
        unlink("\(path)/sock")
        rmdir(path)
    }

    static func listener() throws -> (KeptListener, fd: Int32) {
        let fd = try Socket.listen(.loopback(port: 0), sharesPort: true)
        return (KeptListener(address: try #require(Socket.localAddress(fd)), network: 0), fd)
    }

    @Test("sockets are held once, given to the next proxy, and closed when that does not claim them")
    func holds() async throws {
        try await Self.withKeeper { keeper, path in
            let (name, fd) = try Self.listener()
            let (other, otherFD) = try Self.listener()
            do {
                let first = try Peer(path)
                #expect(first.start().isEmpty)
                for _ in 0..<3 { first.channel.send(KeeperMessage.hold(name).bytes, Socket.duplicate(fd)) }
                first.channel.send(KeeperMessage.hold(other).bytes, otherFD)
                while await keeper.count < 2 { await Task.yield() }
            }
            let next = try Peer(path)
            #expect(next.start().count == 2)
            #expect(next.got.contains { $0.message == .held(name) })
            #expect(next.got.contains { $0.message == .held(other) })
            next.channel.send(KeeperMessage.hold(name).bytes, fd)
            next.channel.send(KeeperMessage.claimed.bytes)
            while await keeper.count > 1 { await Task.yield() }
            let last = try Peer(path)
            #expect(last.start().count == 1)
            #expect(last.got.first?.message == .held(name))
            last.channel.send(KeeperMessage.release.bytes)
            while await keeper.count > 0 { await Task.yield() }
        }
    }

    private static func listen(_ path: String) -> Int32 {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let isBound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        return isBound && Glibc.listen(fd, 8) == 0 ? fd : -1
    }

    @Test(
        "a Unix socket is held with its file, which goes with the last who held it, and only while it is the socket's own"
    )
    func holdsPaths() async throws {
        try await Self.withKeeper { keeper, path in
            let place = "\(path)-in"
            let fd = Self.listen(place)
            #expect(fd >= 0)
            let name = KeptPath(openedAt: place)
            #expect(name.inode > 0 && name.isServed(by: fd))
            #expect(KeeperMessage(KeeperMessage.holdPath(name).bytes) == .holdPath(name))
            do {
                let first = try Peer(path)
                #expect(first.start().isEmpty)
                first.channel.send(KeeperMessage.holdPath(name).bytes, Socket.duplicate(fd))
                while await keeper.count < 1 { await Task.yield() }
            }
            let next = try Peer(path)
            #expect(next.start().count == 1)
            #expect(next.got.first?.message == .heldPath(name))
            next.channel.send(KeeperMessage.claimed.bytes)
            while await keeper.count > 0 { await Task.yield() }
            #expect(access(place, F_OK) != 0 && !name.isServed(by: fd))
            let other = Self.listen(place)
            #expect(other >= 0)
            next.channel.send(KeeperMessage.holdPath(name).bytes, fd)
            while await keeper.count < 1 { await Task.yield() }
            next.channel.send(KeeperMessage.release.bytes)
            while await keeper.count > 0 { await Task.yield() }
            #expect(access(place, F_OK) == 0)
            Socket.close(other)
            unlink(place)
        }
    }

    @Test("sockets of a proxy that nobody will start again are let go of, those of one that lives are not")
    func gives() async throws {
        try await Self.withKeeper(patience: 1) { keeper, path in
            let (name, fd) = try Self.listener()
            do {
                let proxy = try Peer(path)
                #expect(proxy.start().isEmpty)
                proxy.channel.send(KeeperMessage.hold(name).bytes, Socket.duplicate(fd))
                while await keeper.count == 0 { await Task.yield() }
                await keeper.leaveAlone()
                #expect(await keeper.count == 1)
            }
            while await keeper.count > 0 { await Task.yield() }
            Socket.close(fd)
        }
    }

    @Test("what is no listening socket, and what is no message, changes nothing")
    func refuses() async throws {
        try await Self.withKeeper { keeper, path in
            let (name, fd) = try Self.listener()
            let peer = try Peer(path)
            #expect(peer.start().isEmpty)
            peer.channel.send(KeeperMessage.hold(name).bytes, open("/dev/null", O_RDONLY | O_CLOEXEC))
            peer.channel.send(KeeperMessage.hold(name).bytes, socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0))
            peer.channel.send(KeeperMessage.hold(name).bytes)
            peer.channel.send(KeeperMessage.claimed.bytes, open("/dev/null", O_RDONLY | O_CLOEXEC))
            peer.channel.send(KeeperMessage.drop(inode: 0).bytes)
            var random = SystemRandomNumberGenerator()
            for length in 1...500 {
                peer.channel.send((0..<length).map { _ in UInt8.random(in: 8...255, using: &random) })
                peer.channel.send([UInt8(length % 8)] + [UInt8](repeating: 0xFF, count: length + 40))
            }
            peer.channel.send(KeeperMessage.hold(name).bytes, fd)
            while await keeper.count == 0 { peer.loop.runOnce(milliseconds: 1) }
            #expect(await keeper.count == 1)
            #expect(!peer.hasEnded)
        }
    }

    @Test("a listener's name survives its bytes", arguments: ["127.0.0.1", "0.0.0.0", "::1", "fd00::1:2"])
    func names(host: String) throws {
        let address = try #require(SocketAddress(host, port: 15_001))
        let message = KeeperMessage.hold(KeptListener(address: address, network: .max - 5))
        #expect(KeeperMessage(message.bytes) == message)
        for count in 0..<message.bytes.count { #expect(KeeperMessage(Array(message.bytes.prefix(count))) == nil) }
    }

    @Test("a table survives its bytes; cut or changed ones are no table, or another one")
    func table() {
        let table = DNSTests.table
        let bytes = table.encoded
        #expect(DNSTable(encoded: bytes) == table)
        #expect(DNSTable(encoded: DNSTable().encoded) == DNSTable())
        for count in 0..<bytes.count { #expect(DNSTable(encoded: Array(bytes.prefix(count))) == nil) }
        #expect(DNSTable(encoded: bytes + [0]) == nil)
        for position in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[position] ^= 1 << UInt8(bit)
                #expect(DNSTable(encoded: changed) != table)
            }
        }
    }
}
