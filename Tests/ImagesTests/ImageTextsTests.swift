import Images
import Testing

@Suite struct ImageTextsTests {
    private let sum = "sha256:" + String(repeating: "a", count: 64)

    @Test func aConfigurationIsReadWhole() throws {
        let text = """
            {"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{"Env":["A=1","B"],"Entrypoint":["/run"],
            "Cmd":["x"],"User":"1:2","WorkingDir":"/srv","ExposedPorts":{"80/tcp":{},"53/udp":{}},"StopSignal":"SIGQUIT",
            "Labels":{"a":"b"},"Volumes":{"/data":{}}},"rootfs":{"type":"layers","diff_ids":["\(sum)"]}}
            """
        let config = try ImageConfig(Array(text.utf8))
        #expect(config.env == ["A=1", "B"])
        #expect(config.entrypoint == ["/run"])
        #expect(config.cmd == ["x"])
        #expect(config.user == "1:2")
        #expect(config.workingDir == "/srv")
        #expect(config.exposedPorts == ["53/udp", "80/tcp"])
        #expect(config.stopSignal == "SIGQUIT")
        #expect(config.labels == ["a": "b"])
        #expect(config.volumes == ["/data"])
        #expect(config.diffIDs.map(\.description) == [sum])
    }

    @Test(arguments: [
        "[]", "{", #"{"config":{"Env":"x"}}"#, #"{"config":{"Cmd":[1]}}"#, #"{"config":{"User":3}}"#,
        #"{"rootfs":{"diff_ids":["sha256:1"]}}"#, #"{"rootfs":{"diff_ids":["md5:1"]}}"#,
        #"{"config":{"Cmd":["\u0000"]}}"#,
    ]) func aConfigurationThatLiesIsRefused(text: String) {
        #expect(throws: ImageError.self) { try ImageConfig(Array(text.utf8)) }
    }

    @Test func chainsNameStacks() throws {
        let first = try #require(Digest(hex: String(repeating: "1", count: 64)))
        let second = try #require(Digest(hex: String(repeating: "2", count: 64)))
        let chain = ImageConfig.chainIDs([first, second])
        #expect(chain == [first, Digest(of: Array("\(first) \(second)".utf8))])
        #expect(Digest(of: Array("abc".utf8)).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test func manifestsAreToldApart() throws {
        let image =
            #"{"schemaVersion":2,"config":{"digest":"\#(sum)","size":1},"layers":[{"digest":"\#(sum)","size":2}]}"#
        guard case .image(let config, let layers) = try Manifest(Array(image.utf8), of: "x") else {
            Issue.record("no image")
            return
        }
        #expect(config.size == 1)
        #expect(layers.map(\.size) == [2])
        for text in [
            #"{"schemaVersion":1}"#, #"{"manifests":[],"layers":[]}"#, #"{"layers":[]}"#,
            #"{"config":{"digest":"\#(sum)"},"layers":[]}"#, #"{"config":{"digest":"\#(sum)","size":-1},"layers":[]}"#,
            #"{"manifests":[{"digest":"sha512:1","size":1}]}"#, "x",
        ] {
            #expect(throws: ImageError.self, "\(text)") { try Manifest(Array(text.utf8), of: "x") }
        }
    }

    @Test func thePlatformThatFitsBestIsChosen() throws {
        func entry(_ platform: String, _ digit: String) -> String {
            let digest = "sha256:" + String(repeating: digit, count: 64)
            let parts = platform.split(separator: "/").map(String.init)
            let variant = parts.count > 2 ? #","variant":"\#(parts[2])""# : ""
            return
                #"{"digest":"\#(digest)","size":1,"platform":{"os":"\#(parts[0])","architecture":"\#(parts[1])"\#(variant)}}"#
        }
        let list = [
            entry("linux/arm/v6", "1"), entry("linux/arm/v7", "2"), entry("linux/arm64/v8", "3"),
            entry("linux/amd64", "4"),
            entry("windows/amd64", "5"), entry("unknown/unknown", "6"),
        ]
        guard
            case .index(let entries) = try Manifest(
                Array(#"{"manifests":[\#(list.joined(separator: ","))]}"#.utf8),
                of: "x"
            )
        else {
            Issue.record("no index")
            return
        }
        for (word, digit) in [
            ("linux/amd64", "4"), ("arm64", "3"), ("linux/arm/v7", "2"), ("linux/arm/v6", "1"), ("aarch64", "3"),
        ] {
            let platform = try #require(Platform(word))
            let chosen = try Manifest.choose(entries, for: platform, of: "x")
            #expect(chosen.digest.hex.first.map(String.init) == digit, "\(word)")
        }
        let error = #expect(throws: ImageError.self) {
            try Manifest.choose(entries, for: Platform(os: "linux", architecture: "s390x"), of: "x")
        }
        #expect(try #require(error).message.contains("linux/amd64"))
    }

    @Test func theConfigurationOfTheStoreIsStrict() throws {
        let text = """
            registries:
            - {host: registry.lan:5000, insecure: true, mirrors: ["http://127.0.0.1:5001", mirror.lan], caFile: /etc/ca.pem}
            limits: {layerBytes: 2Gi, layerRatio: 500}
            collection: {highPercent: 70, lowPercent: 60, minimumAgeSeconds: 5}
            """
        let read = try ImageConfiguration(Array(text.utf8), file: "images.yaml")
        #expect(read.registries.first?.isInsecure == true)
        #expect(read.registries.first?.mirrors == ["http://127.0.0.1:5001", "mirror.lan"])
        #expect(read.limits.layer.bytes == 2 << 30)
        #expect(read.limits.layer.ratio == 500)
        #expect(read.collection.minimumAge == 5)
        for (wrong, word) in [
            ("registry: []", "registry is unknown"), ("registries: [{host: 'a b'}]", "registries[0].host"),
            ("registries: [{host: a, mirrors: ['http://a/b']}]", "mirrors"),
            ("limits: {layerBytes: lots}", "layerBytes"),
            ("collection: {highPercent: 10}", "lowPercent"), ("registries: [{host: a, insecure: maybe}]", "insecure"),
        ] {
            let error = #expect(throws: ImageError.self) { try ImageConfiguration(Array(wrong.utf8), file: "f") }
            #expect(try #require(error).message.contains(word), "\(wrong)")
        }
    }
}
