import Images
import Testing

@Suite struct RegistryTests {
    @Test func challengesAreRead() {
        let text =
            #"Bearer realm="https://auth.example/token",service="registry, \"one\"",scope=repository:a/b:pull, Basic realm="x""#
        let found = RegistryChallenge.parse(text)
        #expect(found.map(\.scheme) == ["bearer", "basic"])
        #expect(
            found.first?.parameters == [
                "realm": "https://auth.example/token", "service": #"registry, "one""#, "scope": "repository:a/b:pull",
            ]
        )
        #expect(RegistryChallenge.parse("Basic").map(\.scheme) == ["basic"])
        #expect(RegistryChallenge.parse(#"Bearer realm="a"#).first?.parameters == ["realm": "a"])
        // The first of two with one name counts, and rubbish ends the reading.
        #expect(RegistryChallenge.parse(#"Bearer realm=a,realm=b"#).first?.parameters == ["realm": "a"])
        for rubbish in ["", ",,,", "=", "\"", #"Bearer ="x""#, "Bearer a=\"\\"] { _ = RegistryChallenge.parse(rubbish) }
    }

    @Test func credentialsGoToWhomTheyAreFor() {
        let text = """
            {"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnB3"},"reg.lan:5000":{"username":"u","password":"p"},
            "reg.lan:5000/team":{"auth":"dGVhbTpwOnE="},"*.cloud.io":{"auth":"Yzpk"},"token.io":{"identitytoken":"t"},"bad.io":{"auth":"!"}}}
            """
        let all = RegistryCredentials(Array(text.utf8))
        #expect(all.find(host: "docker.io", path: "library/a").map(\.user) == ["hub"])
        #expect(all.find(host: "reg.lan:5000", path: "team/a").map(\.user) == ["team", "u"])
        #expect(all.find(host: "reg.lan:5000", path: "team/a").first?.password == "p:q")
        #expect(all.find(host: "reg.lan:5000", path: "teams/a").map(\.user) == ["u"])
        #expect(all.find(host: "reg.lan", path: "a").isEmpty)
        #expect(all.find(host: "eu.cloud.io", path: "a").map(\.user) == ["c"])
        #expect(all.find(host: "a.eu.cloud.io", path: "a").isEmpty)
        #expect(all.find(host: "token.io", path: "a").first?.identityToken == "t")
        #expect(all.find(host: "bad.io", path: "a").isEmpty)
        let old = RegistryCredentials(Array(#"{"reg.lan":{"auth":"dTpw"}}"#.utf8))
        #expect(old.find(host: "reg.lan", path: "a").map(\.user) == ["u"])
        #expect(RegistryCredentials(Array("no".utf8)).find(host: "a", path: "b").isEmpty)
    }

    @Test func redirectsAreFollowedFromWhereTheyAreGiven() throws {
        let home = try #require(PlainURL("https://reg.lan:5000/v2/a/blobs/x"))
        #expect(home.following("/up")?.text == "https://reg.lan:5000/up")
        #expect(home.following("//cdn.lan/x?y=1")?.text == "https://cdn.lan/x?y=1")
        #expect(home.following("http://cdn.lan/x#part")?.text == "http://cdn.lan/x")
        for wrong in ["ftp://a/b", "file:///etc/passwd", "https://u:p@a/b", "x y", "javascript:1"] {
            #expect(home.following(wrong) == nil, "\(wrong)")
        }
        let plain = try #require(PlainURL("https://a/x"))
        #expect(plain.isSameOrigin(try #require(PlainURL("https://a:443/y"))))
        for other in ["http://a/x", "https://a:444/x", "https://b/x", "https://a.b/x"] {
            #expect(!plain.isSameOrigin(try #require(PlainURL(other))), "\(other)")
        }
    }
}
