import Testing
import Traffic

@Suite("Clients that stay with an endpoint")
struct ClientTableTests {
    @Test("a client stays for as long as it comes back in time")
    func stays() {
        var table = ClientTable()
        #expect(table.endpoint(of: 1, now: 0, timeout: 10) == nil)
        table.keep(1, at: 7, now: 0, timeout: 10)
        #expect(table.endpoint(of: 1, now: 9, timeout: 10) == 7)
        #expect(table.endpoint(of: 1, now: 18, timeout: 10) == 7, "each time counts anew")
        #expect(table.endpoint(of: 2, now: 18, timeout: 10) == nil)
        #expect(table.endpoint(of: 1, now: 28, timeout: 10) == nil, "away for too long")
        table.keep(1, at: 8, now: 28, timeout: 10)
        #expect(table.endpoint(of: 1, now: 29, timeout: 10) == 8)
    }

    @Test("a full table forgets those that stayed away for longest")
    func full() {
        var table = ClientTable(limit: 8)
        for client in UInt64(0)..<8 { table.keep(client, at: 1, now: client, timeout: 100) }
        table.keep(8, at: 1, now: 8, timeout: 100)
        #expect(table.count <= 8)
        #expect(table.endpoint(of: 8, now: 9, timeout: 100) == 1)
        #expect(table.endpoint(of: 7, now: 9, timeout: 100) == 1)
        #expect(table.endpoint(of: 0, now: 9, timeout: 100) == nil)
        for client in UInt64(100)..<200 { table.keep(client, at: 1, now: 50, timeout: 100) }
        #expect(table.count <= 8)
        #expect(table.endpoint(of: 199, now: 50, timeout: 100) == 1)
    }
}
