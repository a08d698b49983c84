import Compression
import Resources
import Servers
import Store
import Testing
import Wire

@Suite("What a reader asks of the Kubernetes-shaped API beside the objects: the moment, the form, the packing")
struct ReadingTests {
    @Test(
        "a moment that cannot be is refused in Kubernetes' words",
        arguments: [
            ("resourceVersion=abc", 400, "invalid resource version"),
            ("resourceVersion=-1", 400, "invalid resource version"),
            ("resourceVersion=%2B1", 400, "invalid resource version"),
            ("resourceVersionMatch=Exact", 422, "is forbidden unless resourceVersion is provided"),
            ("resourceVersionMatch=Exact&resourceVersion=0", 422, "is forbidden for resourceVersion \"0\""),
            ("resourceVersionMatch=Loose&resourceVersion=1", 422, "Unsupported value: \"Loose\""),
            ("resourceVersionMatch=NotOlderThan&resourceVersion=900000", 504, "Too large resource version: 900000"),
            ("resourceVersion=9223372036854775807", 504, "Too large resource version"),
            ("resourceVersion=9223372036854775808", 400, "invalid resource version"),
            ("watch=1&resourceVersion=900000", 504, "Too large resource version"),
            ("watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", 422, "unless sendInitialEvents"),
            ("watch=1&sendInitialEvents=true", 422, "sendInitialEvents requires"),
            ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
            ("limit=-1", 400, "limit"),
            ("limit=many", 400, "limit"),
        ]
    )
    func wrongMoments(query: String, status: Int, message: String) async throws {
        let kit = try await APIKit()
        for name in ["a", "b"] { _ = await kit.call("POST", configMaps, configText(name)) }
        let reply = await kit.call("GET", "\(configMaps)?\(query)")
        #expect(reply.status == status, "\(reply.text)")
        #expect(reply.value.text("message")?.contains(message) == true, "\(reply.text)")
    }

    @Test("clients know a moment to come by its cause, of lists and of single objects")
    func future() async throws {
        let kit = try await APIKit()
        _ = await kit.call("POST", configMaps, configText("a"))
        for path in [configMaps, "\(configMaps)/a"] {
            let reply = await kit.call("GET", "\(path)?resourceVersion=900000")
            #expect(reply.status == 504)
            #expect(reply.value["reason"] == "Timeout")
            let cause = reply.value["details"]?.list("causes").first
            #expect(cause?["reason"] == "ResourceVersionTooLarge")
            #expect(cause?["message"] == "Too large resource version")
        }
    }

    @Test("a list of exactly one moment shows what was then, page by page, and what is not older shows what is now")
    func moments() async throws {
        let kit = try await APIKit()
        for name in ["a", "b", "c"] { _ = await kit.call("POST", configMaps, configText(name)) }
        let then = try #require(await kit.call("GET", configMaps).value["metadata"]?.text("resourceVersion"))
        _ = await kit.call("DELETE", "\(configMaps)/a")
        _ = await kit.call("POST", configMaps, configText("d"))
        func names(_ query: String) async -> [String] {
            let reply = await kit.call("GET", "\(configMaps)?\(query)")
            return reply.value.list("items").compactMap { $0["metadata"]?.text("name") }
        }
        #expect(await names("resourceVersion=\(then)&resourceVersionMatch=Exact") == ["a", "b", "c"])
        #expect(await names("resourceVersion=\(then)&limit=2") == ["a", "b"])
        #expect(await names("resourceVersion=\(then)") == ["b", "c", "d"])
        #expect(await names("resourceVersion=\(then)&resourceVersionMatch=NotOlderThan&limit=2") == ["b", "c"])
        #expect(await names("resourceVersion=0&resourceVersionMatch=NotOlderThan") == ["b", "c", "d"])
        let page = await kit.call("GET", "\(configMaps)?resourceVersion=\(then)&resourceVersionMatch=Exact&limit=2")
        #expect(page.value["metadata"]?["resourceVersion"] == .string(then))
        let token = try #require(page.value["metadata"]?.text("continue")?.replacing("=", with: "%3D"))
        #expect(await names("continue=\(token)&limit=2") == ["c"])
        let both = await kit.call("GET", "\(configMaps)?continue=\(token)&resourceVersion=\(then)")
        #expect(both.status == 400)
    }

    @Test("a moment of which nothing is remembered is gone")
    func forgotten() async throws {
        var limits = SQLiteStore.Limits()
        limits.events = 2
        let store = try await SQLiteStore.open(path: ":memory:", limits: limits)
        let api = KubernetesAPI(store: store)
        for name in ["a", "b", "c", "d"] {
            try await store.create(Object(ResourceTypes.configMaps, namespace: "default", name: name))
        }
        for query in ["resourceVersionMatch=Exact&resourceVersion=1", "limit=2&resourceVersion=1"] {
            let reply = await api.handle(HTTPRequest("GET", "\(configMaps)?\(query)"))
            #expect(reply.status == 410)
            guard case .bytes(let bytes) = reply.body else { continue }
            #expect(String(decoding: bytes, as: UTF8.self).contains(#""reason":"Expired""#))
        }
        #expect(await api.handle(HTTPRequest("GET", "\(configMaps)?resourceVersion=1")).status == 200)
    }

    @Test("what no form can satisfy is 406, before anything is written; who reads Kubernetes' coding reads JSON")
    func accepted() async throws {
        let kit = try await APIKit()
        let refused = await kit.call("POST", configMaps, configText("a"), accept: "text/html, image/png;q=0.5")
        #expect(refused.status == 406)
        #expect(refused.value["reason"] == "NotAcceptable")
        #expect(await kit.call("GET", "\(configMaps)/a").status == 404)
        for accept in ["*/*", "text/html, */*;q=0.1", "application/vnd.kubernetes.protobuf", "Application/JSON", ""] {
            #expect(await kit.call("GET", configMaps, accept: accept).status == 200, "\(accept)")
        }
    }

    @Test("HEAD is answered as GET is; a wrong method is told which are right")
    func methods() async throws {
        let kit = try await APIKit()
        _ = await kit.call("POST", configMaps, configText("a"))
        #expect(await kit.call("HEAD", configMaps).status == 200)
        #expect(await kit.call("HEAD", "\(configMaps)/a").status == 200)
        #expect(await kit.call("HEAD", "\(configMaps)/b").status == 404)
        let wrong = await kit.call("OPTIONS", configMaps)
        #expect(wrong.status == 405)
        #expect(wrong.headers["Allow"] == "GET, HEAD, POST, DELETE")
        #expect(await kit.call("POST", "\(configMaps)/a", "{}").headers["Allow"] == "GET, HEAD, PUT, PATCH, DELETE")
    }

    @Test("large answers are packed for who can unpack them, small ones and others' are not")
    func packing() async throws {
        let kit = try await APIKit()
        let large = "{metadata: {name: large}, data: {k: \"\(String(repeating: "word ", count: 40_000))\"}}"
        _ = await kit.call("POST", configMaps, large)
        _ = await kit.call("POST", configMaps, configText("small"))
        func answer(_ path: String, _ coding: String?) async throws -> (headers: HTTPFields, bytes: [UInt8]) {
            var request = HTTPRequest("GET", path)
            request.headers["Accept-Encoding"] = coding
            let response = await kit.api.handle(request)
            guard case .bytes(let bytes) = response.body else { return (response.headers, []) }
            return (response.headers, bytes)
        }
        let plain = try await answer("\(configMaps)/large", nil)
        #expect(plain.headers["Content-Encoding"] == nil)
        #expect(plain.headers["Vary"] == "Accept-Encoding")
        let packed = try await answer("\(configMaps)/large", "deflate, gzip;q=0.8")
        #expect(packed.headers["Content-Encoding"] == "gzip")
        #expect(packed.bytes.count * 10 < plain.bytes.count)
        var settings = DecoderSettings(.gzip)
        settings.maxRatio = 100_000
        let decoder = try #require(ContentDecoder(settings))
        var room = [UInt8](repeating: 0, count: plain.bytes.count + 1024)
        let step = packed.bytes.withUnsafeBytes { input in
            room.withUnsafeMutableBytes { decoder.step(input, into: $0, isLast: true) }
        }
        #expect(Array(room.prefix(step.made)) == plain.bytes)
        for coding in ["gzip;q=0", "br", "gzip;q=0.000, identity"] {
            #expect(try await answer("\(configMaps)/large", coding).headers["Content-Encoding"] == nil, "\(coding)")
        }
        let small = try await answer("\(configMaps)/small", "gzip")
        #expect(small.headers["Content-Encoding"] == nil && small.headers["Vary"] == nil)
    }

    @Test("events of events.k8s.io are those of the core by other names: made, read, chosen, changed, watched, found")
    func eventsByTheirOtherNames() async throws {
        let kit = try await APIKit()
        let events = "/apis/events.k8s.io/v1/namespaces/default/events"
        let core = "/api/v1/namespaces/default/events"
        let made = await kit.call(
            "POST",
            events,
            """
            {metadata: {name: e}, regarding: {kind: Pod, name: web, namespace: default}, note: it began, reason: Began,
             type: Normal, action: Begin, reportingController: example.com/c, reportingInstance: c-1,
             eventTime: "2026-01-02T03:04:05.000006Z", message: ignored}
            """
        )
        #expect(made.status == 201, "\(made.text)")
        #expect(made.value["apiVersion"] == "events.k8s.io/v1")
        #expect(made.value["note"] == "it began" && made.value["message"] == nil)
        let kept = await kit.call("GET", "\(core)/e").value
        #expect(kept["apiVersion"] == "v1" && kept["message"] == "it began" && kept["note"] == nil)
        #expect(kept.at("involvedObject", "name") == "web" && kept["reportingComponent"] == "example.com/c")
        let patched = await kit.call(
            "PATCH",
            "\(events)/e",
            #"{"series": {"count": 3, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}, "note": "again"}"#,
            type: "application/strategic-merge-patch+json"
        )
        #expect(patched.status == 200 && patched.value["note"] == "again", "\(patched.text)")
        var whole = patched.value
        whole["note"] = "replaced"
        let put = await kit.call("PUT", "\(events)/e", JSON.write(whole), type: "application/json")
        #expect(put.status == 200 && put.value["note"] == "replaced", "\(put.text)")
        #expect(await kit.call("GET", "\(core)/e").value.at("series", "count") == 3)
        for (selector, count) in [
            ("regarding.name%3Dweb,reportingController%3Dexample.com/c", 1), ("regarding.name%21%3Dweb", 0),
        ] {
            let list = await kit.call("GET", "/apis/events.k8s.io/v1/events?fieldSelector=\(selector)").value
            #expect(list["apiVersion"] == "events.k8s.io/v1" && list["kind"] == "EventList")
            #expect(list.list("items").count == count)
        }
        let found = await kit.call("GET", "/apis/events.k8s.io/v1").value.list("resources")
        #expect(found.count == 1 && found.first?.text("name") == "events")
        #expect(found.first?.texts("verbs").contains("patch") == true)
        #expect(await kit.call("GET", "/apis/events.k8s.io").value.at("preferredVersion", "version") == "v1")
        #expect(await kit.call("DELETE", "\(events)/e").status == 200)
        #expect(await kit.call("GET", "\(core)/e").status == 404)
    }
}
