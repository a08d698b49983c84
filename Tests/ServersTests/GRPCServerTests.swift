import Glibc
import Reactor
import Servers
import Testing

@Suite("gRPC server", .timeLimit(.minutes(1)))
struct GRPCServerTests {
    @Test("the own user is let in on loopback, and nothing but loopback is listened on")
    func owner() async throws {
        let server = GRPCServer { _ in .ok }
        let wished = try #require(SocketAddress("127.0.0.1", port: 0))
        let address = try await server.listen(wished)
        let fd = Socket.connect(address)
        try #require(fd >= 0)
        while await server.connectionCount() == 0 { try await Task.sleep(for: .milliseconds(5)) }
        close(fd)
        while await server.connectionCount() > 0 { try await Task.sleep(for: .milliseconds(5)) }
        for _ in 0..<64 {
            // Gone before it is greeted: nothing of it stays.
            let hasty = Socket.connect(address)
            Socket.resetOnClose(hasty)
            close(hasty)
        }
        let last = Socket.connect(address)
        while await server.connectionCount() != 1 { try await Task.sleep(for: .milliseconds(5)) }
        close(last)
        while await server.connectionCount() > 0 { try await Task.sleep(for: .milliseconds(5)) }
        let open = try #require(SocketAddress("0.0.0.0", port: 0))
        await #expect(throws: SystemError.self) { _ = try await server.listen(open) }
        await server.shutdown()
    }
}
