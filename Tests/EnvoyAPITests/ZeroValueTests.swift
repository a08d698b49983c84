import EnvoyAPI
import Testing
import Wire

@Suite("Zero values")
struct ZeroValueTests {
    @Test("a document has no field for a zero value, an empty list or an empty map")
    func leftOut() throws {
        let cluster = Envoy.Cluster(name: "c")
        #expect(cluster.jsonValue == ["name": "c"])
        let socket = Envoy.SocketAddress(address: "127.0.0.1", portValue: 0)
        #expect(socket.jsonValue == ["address": "127.0.0.1", "port_value": 0])
    }
}
