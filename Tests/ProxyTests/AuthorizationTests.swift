import EnvoyAPI
import HTTP
import Testing
import Traffic
import Wire

@testable import Proxy

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func field(_ number: Int, _ content: [UInt8]) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.run(number, content)
    return writer.bytes
}

private func option(_ name: String, _ value: String, append: Bool? = nil, action: UInt64 = 0) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.run(1, field(1, bytes(name)) + field(2, bytes(value)))
    if let append {
        var wrapper = ProtobufWriter()
        if append { wrapper.varint(1, 1) }
        writer.run(2, wrapper.bytes)
    }
    if action != 0 { writer.varint(3, action) }
    return writer.bytes
}

private func called(_ message: [UInt8], status: Int = 0) -> CallAnswer {
    var answer = CallAnswer()
    answer.status = 200
    answer.callStatus = status
    answer.body = CallFrame.framed(message)
    return answer
}

private func lines(_ edits: HeadEdits) -> [String] {
    edits.edits.map { edit in
        let name = String(decoding: edits.bytes[edit.name], as: UTF8.self)
        return "\(edit.kind) \(name)=\(String(decoding: edits.bytes[edit.value], as: UTF8.self))"
    }
}

@Suite("Verdicts of an authority")
struct AuthorizationVerdictTests {
    private func status(_ code: UInt64) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.varint(1, code)
        return field(1, writer.bytes)
    }

    @Test("changes of a request are read with what they do to what is there")
    func ok() {
        let content =
            field(2, option("X-Set", "a")) + field(2, option("x-more", "b", append: true))
            + field(2, option("x-over", "c", append: false)) + field(2, option("x-if", "d", action: 3))
            + field(5, bytes("X-Gone")) + field(5, bytes(":path")) + field(5, bytes("host"))
            + field(6, option("x-back", "e")) + field(6, option("x-back", "f", append: false))
        let verdict = AuthorizationVerdict(call: called(status(0) + field(3, content)))
        #expect(verdict.outcome == .ok)
        #expect(
            lines(verdict.request) == [
                "set x-set=a", "append x-more=b", "set x-over=c", "setIfPresent x-if=d", "remove x-gone=",
            ]
        )
        #expect(lines(verdict.answer) == ["append x-back=e", "set x-back=f"])
    }

    @Test("a refusal has its status, its body and no field that frames it")
    func denied() {
        var code = ProtobufWriter()
        code.varint(1, 451)
        let content =
            field(1, code.bytes) + field(2, option("x-why", "a")) + field(2, option("content-length", "9"))
            + field(2, option("transfer-encoding", "chunked")) + field(3, bytes("no"))
        let verdict = AuthorizationVerdict(call: called(status(7) + field(2, content)))
        #expect(verdict.outcome == .denied && verdict.status == 451 && verdict.body == bytes("no"))
        #expect(lines(verdict.fields) == ["append x-why=a"])
        #expect(AuthorizationVerdict(call: called(status(7))).status == 403)
    }

    @Test("without a whole, good message there is no verdict")
    func error() {
        #expect(AuthorizationVerdict(call: called(status(0), status: 14)).outcome == .error)
        #expect(AuthorizationVerdict(call: .failed("no answer came")).outcome == .error)
        #expect(AuthorizationVerdict(call: called([0xFF, 0xFF])).outcome == .error)
        #expect(AuthorizationVerdict(call: called(field(1, [0x08]))).outcome == .error)
        var two = called([])
        two.body += two.body
        #expect(AuthorizationVerdict(call: two).outcome == .error)
        // An empty message is one: status 0.
        #expect(AuthorizationVerdict(call: called([])).outcome == .ok)
    }

    @Test("values that would end a line are left out")
    func smuggled() {
        let content = field(2, option("x-a", "b\r\nc: d")) + field(2, option("x a", "b"))
        #expect(AuthorizationVerdict(call: called(status(0) + field(3, content))).request.isEmpty)
    }

    @Test(
        "parameters of the query are set and taken out",
        arguments: [
            ("/a?x=1&y=2", "/a?y=2&n=v"), ("/a", "/a?n=v"), ("/a?x=1", "/a?n=v"), ("/a?n=1&n=2", "/a?n=v"),
            ("/a?", "/a?n=v"),
        ]
    )
    func query(from: String, to: String) {
        let content = field(7, field(1, bytes("n")) + field(2, bytes("v"))) + field(8, bytes("x"))
        let verdict = AuthorizationVerdict(call: called(status(0) + field(3, content)))
        let changed = bytes(from).withUnsafeBytes { verdict.target(ByteRun($0)) }
        #expect(changed == bytes(to))
    }
}

@Suite("What an authority is asked")
struct AuthorizationCheckTests {
    @Test("several fields of a name are one, and texts are UTF-8")
    func headers() throws {
        var check = AuthorizationCheck()
        check.add(bytes("a"), bytes("1"))
        check.add(bytes("a"), bytes("2"))
        check.add(bytes("cookie"), bytes("x=1"))
        check.add(bytes("cookie"), bytes("y=2"))
        #expect(check.headers.map { String(decoding: $0.value, as: UTF8.self) } == ["1,2", "x=1; y=2"])
        #expect(AuthorizationCheck.text([0x61, 0xFF, 0x62]) == bytes("a!b"))
        #expect(!check.message.isEmpty)
    }
}

@Suite("Configurations of ext_authz")
struct AuthorizationConfigurationTests {
    private func problems(_ config: String) throws -> [String] {
        let type = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
        let steps =
            "http_filters: [{name: a, typed_config: {\"@type\": \(type), \(config)}}, {name: r, typed_config: {\"@type\": \(router)}}]"
        let chain = http("{match: {prefix: /}, direct_response: {status: 200}}").replacing(
            "http_filters: [{name: r, typed_config: {\"@type\": \(router)}}]",
            with: steps
        )
        do {
            _ = try makeStore(bootstrap(clusters: [cluster("auth")], listeners: [listener("l", chain)]))
            return []
        } catch { return ["\(error)"] }
    }

    @Test("what cannot be done is refused by path")
    func refused() throws {
        let grpc = "grpc_service: {envoy_grpc: {cluster_name: auth}}"
        #expect(try problems(grpc).isEmpty)
        #expect(try problems("failure_mode_allow: true").joined().contains("grpc_service"))
        #expect(
            try problems("\(grpc), with_request_body: {max_request_bytes: 0}").joined().contains("max_request_bytes")
        )
        #expect(try problems("\(grpc), with_request_body: {max_request_bytes: 1000000}").joined().contains("131072"))
        #expect(
            try problems("\(grpc), metadata_context_namespaces: [a]").joined().contains("metadata_context_namespaces")
        )
        #expect(
            try problems("http_service: {server_uri: {uri: x, cluster: auth, timeout: 1s}, path_prefix: a}").joined()
                .contains("path_prefix")
        )
    }
}
