import Images
import Testing

@Suite struct ImageReferenceTests {
    @Test(arguments: [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("shop/web:v1", "docker.io/shop/web:v1", "shop/web:v1"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("localhost/web", "localhost/web:latest", "localhost/web:latest"),
        ("localhost:5000/web", "localhost:5000/web:latest", "localhost:5000/web:latest"),
        ("ghcr.io/a/b/c__d:x", "ghcr.io/a/b/c__d:x", "ghcr.io/a/b/c__d:x"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        ("oci:/srv/layout", "oci:/srv/layout", "oci:/srv/layout"),
        ("oci:/srv/layout:v2", "oci:/srv/layout:v2", "oci:/srv/layout:v2"),
        (
            "docker-archive:/srv/a.tar:shop/web:1", "docker-archive:/srv/a.tar:shop/web:1",
            "docker-archive:/srv/a.tar:shop/web:1"
        ),
    ]) func normalizes(text: String, full: String, short: String) throws {
        let reference = try ImageReference(text)
        #expect(reference.description == full)
        #expect(reference.familiar == short)
        #expect(try ImageReference(reference.description) == reference)
    }

    @Test func aDigestStandsForATag() throws {
        let sum = String(repeating: "ab", count: 32)
        let reference = try ImageReference("busybox@sha256:\(sum)")
        #expect(reference.tag == nil)
        #expect(reference.digest?.hex == sum)
        #expect(
            try ImageReference("busybox:1@sha256:\(sum)").description == "docker.io/library/busybox:1@sha256:\(sum)"
        )
        #expect(try ImageReference("sha256:\(sum)").transport == .identity)
    }

    @Test(arguments: [
        ("", "empty"), ("Busybox", "capital"), ("Host/a", "capital"), ("a b", "space"),
        ("https://ghcr.io/a", "https://"), ("a//b", "empty"),
        ("a:", "tag"), ("a:-x", "tag"), ("a@sha256:12", "digest"), ("a/.b", "'.b'"), ("a/b..c", "'b..c'"),
        ("host.io:99999/a", "host"), ("oci:relative", "absolute"), ("sha256:zz", "64"), ("../etc", "host"),
        ("a:x/y:", "tag"),
        ("grün", "ASCII"),
    ]) func saysWhatIsWrong(text: String, word: String) throws {
        let error = #expect(throws: ImageError.self) { try ImageReference(text) }
        let found = try #require(error)
        #expect(found.kind == .invalidName)
        #expect(found.reason == "InvalidImageName")
        #expect(found.message.contains(word), "\(found.message)")
    }

    @Test func thePolicyFollowsTheTag() {
        #expect(PullPolicy.standard(for: "busybox") == .always)
        #expect(PullPolicy.standard(for: "busybox:latest") == .always)
        #expect(PullPolicy.standard(for: "busybox:1") == .ifNotPresent)
        #expect(PullPolicy.standard(for: "oci:/a") == .ifNotPresent)
        #expect(PullPolicy.standard(for: "busybox@sha256:" + String(repeating: "0", count: 64)) == .ifNotPresent)
    }
}
