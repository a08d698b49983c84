import Glibc
import Reactor
import Testing

@Suite("Event loop", .serialized)  // The scripted system calls hold for the whole process.
struct EventLoopTests {
    private func pair() -> (Int32, Int32) {
        var fds: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &fds)
        return (fds[0], fds[1])
    }

    private func events(_ loop: EventLoop) -> [ReadyEvent] {
        let count = loop.wait(milliseconds: 1000)
        return (0..<count).compactMap { loop.event($0) }
    }

    @Test("an event carries its token, again and again until the bytes are read")
    func levelTriggered() throws {
        let loop = try EventLoop()
        let (near, far) = pair()
        defer { close(near); close(far) }
        try loop.watch(near, .read, token: 99)
        _ = Socket.send(far, "hello", 5)
        #expect(events(loop).map(\.token) == [99])
        #expect(events(loop).map(\.token) == [99])
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(bytes.withUnsafeMutableBytes { Socket.receive(near, $0.baseAddress!, 16) } == 5)
        #expect(loop.wait(milliseconds: 0) == 0)
        #expect(bytes.withUnsafeMutableBytes { Socket.receive(near, $0.baseAddress!, 16) } == Int(-EAGAIN))
    }

    @Test("a closed peer shows as the end of the stream")
    func endOfStream() throws {
        let loop = try EventLoop()
        let (near, far) = pair()
        defer { close(near) }
        try loop.watch(near, [.read, .readHungUp], token: 1)
        close(far)
        let event = try #require(events(loop).first)
        #expect(event.readiness.contains(.hungUp))
        var byte: UInt8 = 0
        #expect(Socket.receive(near, &byte, 1) == 0)
    }

    @Test("another thread's message ends the wait")
    func mailbox() throws {
        let loop = try EventLoop()
        let mailbox = Mailbox<Int>(waker: loop.waker)
        SystemThread.start(name: "poster") { mailbox.post(41) }
        var taken: [Int] = []
        while taken.isEmpty {
            _ = events(loop)
            taken = mailbox.take()
        }
        #expect(taken == [41])
    }

    @Test("connections go through, with the peers' addresses on both sides")
    func connect() throws {
        let loop = try EventLoop()
        let listener = try Socket.listen(.loopback(port: 0))
        defer { close(listener) }
        let address = try #require(Socket.localAddress(listener))
        let client = Socket.connect(address)
        #expect(client >= 0)
        defer { close(client) }
        try loop.watch(listener, .read, token: 1)
        #expect(events(loop).first?.token == 1)
        var peer = SocketAddress()
        let server = Socket.accept(listener, peer: &peer)
        defer { close(server) }
        #expect(server >= 0)
        #expect(peer == Socket.localAddress(client))
        #expect(Socket.peerAddress(client) == address)
        #expect(Socket.error(of: client) == 0)
        #expect(Socket.accept(listener, peer: &peer) == -EAGAIN)
    }

    @Test("listening on a taken address says which address and why")
    func addressInUse() throws {
        let listener = try Socket.listen(.loopback(port: 0))
        defer { close(listener) }
        let address = try #require(Socket.localAddress(listener))
        #expect(throws: SystemError(code: EADDRINUSE, operation: "listen on \(address)")) { try Socket.listen(address) }
    }

    @Test("a pipe moves bytes between sockets, gives back what does not go out, and tells the end")
    func splice() throws {
        let (source, feeder) = pair()
        let (sink, reader) = pair()
        defer { close(source); close(sink); close(reader) }
        let pipe = try #require(SplicePipe())
        defer { pipe.close() }
        #expect(pipe.fill(from: source, 100) == Int(-EAGAIN))
        _ = Socket.send(feeder, "hello world", 11)
        #expect(pipe.fill(from: source, 5) == 5)
        #expect(pipe.drain(to: sink, 5) == 5)
        #expect(pipe.fill(from: source, 100) == 6)
        var bytes = [UInt8](repeating: 0, count: 16)
        #expect(bytes.withUnsafeMutableBytes { pipe.read($0.baseAddress!, 6) } == 6)
        #expect(bytes.prefix(6) == Array(" world".utf8)[...])
        #expect(bytes.withUnsafeMutableBytes { Socket.receive(reader, $0.baseAddress!, 16) } == 5)
        #expect(bytes.prefix(5) == Array("hello".utf8)[...])
        close(feeder)
        #expect(pipe.fill(from: source, 100) == 0)
    }

    #if DEBUG
        @Test("a script decides what the next calls answer")
        func scripted() throws {
            let (near, far) = pair()
            defer { close(near); close(far); SystemCallScript.clear() }
            SystemCallScript.script(.send, [2, Int(-EAGAIN)])
            #expect(Socket.send(near, "hello", 5) == 2)
            #expect(Socket.send(near, "llo", 3) == Int(-EAGAIN))
            #expect(Socket.send(near, "llo", 3) == 3)
        }
    #endif

    @Test("the easy loop calls its handlers, timers and posted closures, and not after removal")
    func handlerLoop() throws {
        final class Recorder: EventHandler {
            var ready = 0
            var fired = 0
            func ready(_ readiness: Readiness) { ready += 1 }
            func timerFired() { fired += 1 }
        }
        let loop = try HandlerLoop()
        let (near, far) = pair()
        defer { close(near); close(far) }
        let recorder = Recorder()
        let key = try loop.add(near, .read, recorder)
        _ = Socket.send(far, "x", 1)
        loop.runOnce(milliseconds: 1000)
        #expect(recorder.ready == 1)
        loop.setTimer(key, loop.now.advanced(byMilliseconds: 1))
        while recorder.fired == 0 { loop.runOnce(milliseconds: 100) }
        loop.remove(key)
        loop.setTimer(key, loop.now)
        loop.remote.post { $0.stop() }
        loop.run()
        #expect(recorder.fired == 1)
    }
}

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test(
        "literals are read and written back",
        arguments: ["127.0.0.1", "10.244.3.255", "::1", "2001:db8::5", "0.0.0.0"]
    )
    func roundTrip(text: String) throws {
        let address = try #require(SocketAddress(text, port: 80))
        #expect(address.host == text)
    }

    @Test("what is no literal is refused", arguments: ["", "localhost", "1.2.3", "1.2.3.4.5", "300.1.1.1", "::g"])
    func refused(text: String) { #expect(SocketAddress(text, port: 1) == nil) }

    @Test(
        "prefixes match by their bits",
        arguments: [
            ("10.1.2.3", "10.1.0.0", 16, true), ("10.2.2.3", "10.1.0.0", 16, false), ("10.1.2.3", "0.0.0.0", 0, true),
            ("127.0.0.1", "127.0.0.1", 32, true), ("127.0.0.2", "127.0.0.1", 32, false), ("::1", "10.0.0.0", 8, false),
            ("2001:db8::5", "2001:db8::", 64, true), ("2001:db8::5", "2001:db8::4", 128, false),
            ("2001:db8::5", "2001:db8::4", 127, true),
        ]
    )
    func prefixes(address: String, prefix: String, length: Int, expected: Bool) throws {
        let address = try #require(SocketAddress(address, port: 0))
        let prefix = try #require(SocketAddress(prefix, port: 0))
        #expect(address.isWithin(prefix, length: length) == expected)
    }
}
