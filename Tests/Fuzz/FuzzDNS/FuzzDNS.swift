import Servers

/// DNS questions and tables: nothing traps, and every question that is read gets an answer within its limit.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDNS(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    // The server of names reads its table from its daemon.
    if let table = DNSTable(encoded: bytes) { precondition(DNSTable(encoded: table.encoded) == table) }
    guard let query = try? DNSQuery(bytes) else { return 0 }
    precondition(query.name.utf8.count <= 254)
    var table = DNSTable()
    table.add(service: "web", namespace: "shop", addresses: ["10.96.0.1"], ports: [])
    let answer = table.answer(query.name, type: query.type)
    let many = (0..<60).map { DNSRecord.a([10, 0, 0, UInt8($0)]) }
    for found in [answer, .noName, .failure, .records(many, additional: [(query.name, .a([1, 2, 3, 4]))])] {
        let written = DNSWriter.answer(query, found, limit: query.payloadSize)
        precondition(written.count <= query.payloadSize && written[0] == bytes[0] && written[1] == bytes[1])
    }
    return 0
}
