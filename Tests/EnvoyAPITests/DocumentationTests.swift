import EnvoyAPI
import Glibc
import Testing

@Suite("docs/envoy-compatibility.md")
struct DocumentationTests {
    @Test("the page is what the tables give; if not: weft-proxy --mode compatibility >docs/envoy-compatibility.md")
    func pageIsTrue() throws {
        let made = CompatibilityPage.text().split(separator: "\n", omittingEmptySubsequences: false)
        let kept = try document("docs/envoy-compatibility.md").split(separator: "\n", omittingEmptySubsequences: false)
        let first = zip(made, kept).first { $0 != $1 }
        #expect(first?.0 == first?.1)
        #expect(made.count == kept.count)
    }

    @Test("no field is passed over without a reason")
    func reasons() {
        #expect(CompatibilityPage.unexplained == [])
    }

    private func document(_ name: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(root)/\(name)", "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
