import Bytes
import Reactor
import Testing

@testable import Proxy

@Suite("The header of the PROXY protocol")
struct ProxyHeaderTests {
    static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    static let pair: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0x1F, 0x90, 0x01, 0xBB]

    static func binary(_ command: UInt8, _ family: UInt8, _ payload: [UInt8], length: Int? = nil) -> [UInt8] {
        let length = length ?? payload.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + payload
    }

    private func read(_ bytes: [UInt8], _ versions: ProxyProtocolRule.Versions = [.text, .binary])
        -> ProxyHeader.Outcome
    {
        bytes.withUnsafeBytes { ProxyHeader.read($0, versions) }
    }

    struct Good: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        var source: String?
        var destination: String?

        init(_ name: String, _ bytes: [UInt8], _ source: String? = nil, _ destination: String? = nil) {
            testDescription = name
            self.bytes = bytes
            self.source = source
            self.destination = destination
        }
    }

    static let good = [
        Good(
            "v1 TCP4",
            Array("PROXY TCP4 192.0.2.1 198.51.100.2 8080 443\r\n".utf8),
            "192.0.2.1:8080",
            "198.51.100.2:443"
        ),
        Good("v1 TCP6", Array("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".utf8), "[2001:db8::1]:1", "[::1]:65535"),
        Good("v1 UNKNOWN", Array("PROXY UNKNOWN\r\n".utf8)),
        Good("v1 UNKNOWN with words", Array("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".utf8)),
        Good("v2 TCP4", binary(0x21, 0x11, pair), "192.0.2.1:8080", "198.51.100.2:443"),
        Good(
            "v2 TCP6",
            binary(
                0x21,
                0x21,
                [UInt8](repeating: 0, count: 15) + [1] + [0xFD] + [UInt8](repeating: 0, count: 15) + [0, 80, 1, 0]
            ),
            "[::1]:80",
            "[fd00::]:256"
        ),
        Good("v2 LOCAL", binary(0x20, 0x00, [])),
        Good("v2 LOCAL skips what follows", binary(0x20, 0x11, [1, 2, 3])),
        Good("v2 AF_UNSPEC", binary(0x21, 0x00, [9, 9])),
        Good("v2 AF_UNIX", binary(0x21, 0x31, [UInt8](repeating: 0x2F, count: 216))),
        Good("v2 with a TLV", binary(0x21, 0x11, pair + [0x02, 0, 1, 0x61]), "192.0.2.1:8080", "198.51.100.2:443"),
        Good(
            "v2 with its checksum",
            binary(0x21, 0x11, pair + [0x03, 0, 4, 0xDC, 0xA6, 0xB6, 0xBB]),
            "192.0.2.1:8080",
            "198.51.100.2:443"
        ),
    ]

    @Test("A11: a well-formed header is read, whatever follows it", arguments: good)
    func acceptsGood(_ row: Good) throws {
        guard case .accepted(let length, let source, let destination) = read(row.bytes + Array("GET /".utf8)) else {
            Issue.record("\(read(row.bytes))")
            return
        }
        #expect(length == row.bytes.count)
        #expect(source?.description == row.source)
        #expect(destination?.description == row.destination)
        for count in 0..<row.bytes.count {
            guard case .incomplete = read(Array(row.bytes.prefix(count))) else {
                Issue.record("\(count) bytes of \(row.testDescription) are taken for more than a beginning")
                return
            }
        }
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]

        init(_ name: String, _ bytes: [UInt8]) {
            testDescription = name
            self.bytes = bytes
        }

        init(_ line: String) { self.init(line.debugDescription, Array(line.utf8)) }
    }

    static let bad =
        [
            "GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXY TCP4\r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX\r\n",
            "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
            "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 1.2.3.4 ::1 1 2\r\n", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
            "PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n",
        ].map { Bad($0) } + [
            Bad("a line without an end", Array("PROXY TCP4 ".utf8) + [UInt8](repeating: 0x31, count: 200)),
            Bad("a NUL in an address", Array("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n".utf8)),
            Bad("version 1 in binary", binary(0x11, 0x11, pair)),
            Bad("an unknown command", binary(0x22, 0x11, pair)),
            Bad("an unknown family", binary(0x21, 0x41, pair)),
            Bad("datagrams", binary(0x21, 0x12, pair)),
            Bad("addresses cut off", binary(0x21, 0x11, Array(pair.dropLast()))),
            Bad("IPv6 addresses cut off", binary(0x21, 0x21, pair)),
            Bad("half a TLV", binary(0x21, 0x11, pair + [0x02, 0])),
            Bad("a TLV past the end", binary(0x21, 0x11, pair + [0x02, 0, 2, 0x61])),
            Bad("a wrong checksum", binary(0x21, 0x11, pair + [0x03, 0, 4, 0, 0, 0, 1])),
            Bad("a short checksum", binary(0x21, 0x11, pair + [0x03, 0, 3, 0, 0, 0])),
            Bad("longer than allowed", binary(0x21, 0x11, pair, length: 5000)),
            Bad("a signature with an error", signature.dropLast() + [0x0B, 0x21, 0x11, 0, 12] + pair),
        ]

    @Test("A11: a malformed header is refused", arguments: bad)
    func refusesBad(_ row: Bad) {
        guard case .refused = read(row.bytes) else {
            Issue.record("\(read(row.bytes))")
            return
        }
    }

    @Test("A version that is not allowed is refused at its first byte")
    func refusesVersions() {
        for (row, versions) in [(Self.good[0], ProxyProtocolRule.Versions.binary), (Self.good[4], .text)] {
            guard case .refused = read(Array(row.bytes.prefix(1)), versions) else {
                Issue.record("\(row.testDescription)")
                return
            }
        }
    }

    @Test("No change of a byte makes the reader trap or read past the end")
    func survivesChanges() {
        var random = SeededRandom(seed: 11)
        for row in Self.good {
            for _ in 0..<2000 {
                var bytes = row.bytes
                for _ in 0..<(1 + random.next() % 3) {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
                if case .accepted(let length, _, _) = read(bytes) { #expect(length <= bytes.count) }
            }
        }
    }
}
