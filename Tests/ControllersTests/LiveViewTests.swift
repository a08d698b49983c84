import Controllers
import Resources
import Testing
import Wire

@Suite("Live views")
struct LiveViewTests {
    private static func object(_ yaml: String) throws -> Object {
        Object(try #require(try YAML.parse(Array(yaml.utf8)).first).value)
    }

    private static func state() throws -> LiveServices {
        var state = LiveServices()
        state.services = [
            try object(
                """
                {apiVersion: v1, kind: Service, metadata: {name: web, namespace: a, uid: u, labels: {app: web},
                  annotations: {weft.dev/traffic-split: "v1=90,v2=10"}},
                 spec: {selector: {app: web}, ports: [{port: 80, name: http}, {port: 5432}, {port: 53, protocol: UDP}]}}
                """
            ),
            try object(
                "{apiVersion: v1, kind: Service, metadata: {name: v1, namespace: a}, spec: {selector: {app: web}, ports: [{port: 80}]}}"
            ),
        ]
        state.pods = [
            try object(
                """
                {apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a, uid: p1, labels: {app: web, version: "2"},
                  ownerReferences: [{controller: true, kind: ReplicaSet, name: web-x, uid: r}]},
                 spec: {nodeName: n, containers: [{name: c, image: "web:3"}]},
                 status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}}
                """
            )
        ]
        state.zones = ["n": "z1"]
        state.revisions = ["r": "4"]
        state.ingresses = [
            try object(
                """
                {apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: in, namespace: a}, spec: {rules: [
                  {host: Shop.local, http: {paths: [{path: /cart/, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]}}
                """
            )
        ]
        state.routes = [
            try object(
                """
                {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: b}, spec: {rules: [
                  {backendRefs: [{name: web, namespace: a, port: 80}]}, {backendRefs: [{name: other}]}]}}
                """
            )
        ]
        return state
    }

    private static func scrape(_ time: Int, requests: Int, ejected: Bool = false) throws -> LiveScrape {
        let page = """
            route_request_total{direction="outbound",dst="service/a/web/80",rt_route="/"} \(requests)
            route_actual_request_total{direction="outbound",dst="service/a/web/80",rt_route="/"} \(requests + requests / 10)
            route_response_total{direction="outbound",dst="service/a/web/80",rt_route="/",classification="success"} \(requests)
            route_request_total{direction="outbound",dst="shop.local",rt_route="/cart"} \(requests * 2)
            """
        let clusters = """
            {"cluster_statuses": [{"name": "service/a/web/80", "is_in_panic": false,
              "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", "max_requests": 2, "requests_in_use": 2}]},
              "host_statuses": [{"hostname": "p1", "stats": [{"name": "rq_total", "value": "\(requests)"}, {"name": "rq_error", "value": "\(requests)"},
                 {"name": "rq_active", "value": "2"}], "health_status": {"failed_outlier_check": \(ejected)},
                 "outlier": {"ejections": 1, "ejected_milliseconds": 9600, "cause": "consecutive_5xx"}}]}]}
            """
        return LiveScrape(time: time, page: Array(page.utf8), clusters: try JSON.parse(Array(clusters.utf8)))
    }

    @Test("each way to a Service is a route, with what it carries and whether it is acted on")
    func routes() throws {
        let sample = LiveSample(from: try Self.scrape(0, requests: 100), to: try Self.scrape(10_000, requests: 300))
        let object = try #require(LiveRoutes(try Self.state(), sample).objects.first)
        #expect(object.name == "web" && object.namespace == "a" && object.labels == ["app": "web"])
        let routes = object.status.list("routes")
        #expect(
            routes.map { $0.text("name") } == [
                "Service :80", "Service :5432", "Service :53", "Ingress/in shop.local/cart/", "HTTPRoute/r */",
            ]
        )
        #expect(routes.map { $0.text("state") } == ["Live", "Idle", "NotCarried", "Live", "NotActedOn"])
        #expect(routes[0]["requestsPerSecond"]?.doubleValue == 20 && routes[0]["retriesPerSecond"]?.doubleValue == 2)
        #expect(routes[0]["successRate"]?.doubleValue == 1 && routes[3]["requestsPerSecond"]?.doubleValue == 40)
        #expect(routes[0].list("backends").map { $0.text("service") } == ["v1", "v2"])
        #expect(routes[0].list("backends").map { $0.integer("weight") } == [90, 10])
        #expect(routes[0].list("backends")[0].list("revisions")[0].text("revision") == "4")
        let rows = Table.make([object], of: ResourceTypes.serviceRoutes, at: Timestamp(seconds: 0)).rows
        #expect(rows.count == 5 && rows[0].cells[2] == "v1:80=90(1/1),v2:80=10(0/0)" && rows[4].cells[4] == "-")
    }

    @Test("without the proxy's word there are routes, but no figures")
    func noFigures() throws {
        let routes = try #require(LiveRoutes(try Self.state(), nil).objects.first).status.list("routes")
        #expect(routes[0].text("state") == "NoFigures" && routes[0]["requestsPerSecond"] == nil)
        let one = LiveSample(from: nil, to: try Self.scrape(0, requests: 1))
        #expect(one.figures([LiveScrape.Route(host: "service/a/web/80", route: "/")]) == nil)
    }

    @Test("an endpoint says what probes, outlier detection and breakers hold against it")
    func health() throws {
        let sample = LiveSample(
            from: try Self.scrape(0, requests: 0),
            to: try Self.scrape(10_000, requests: 50, ejected: true)
        )
        let now = Timestamp(seconds: 1000)
        let failing = ProbeSighting(
            container: "c",
            kind: "Readiness",
            hasPassed: false,
            message: "statuscode: 503",
            time: Timestamp(seconds: 997),
            runLength: 4
        )
        let object = try #require(
            LiveHealth(try Self.state(), sample, probes: ["p1": [failing]], now: now).objects.first
        )
        let endpoint = object.status.list("endpoints")[0]
        #expect(endpoint.text("zone") == "z1" && endpoint.text("version") == "2" && endpoint.text("revision") == "4")
        #expect(endpoint["successRate"]?.doubleValue == 0 && endpoint["requestsPerSecond"]?.doubleValue == 5)
        #expect(endpoint["outlier"]?.text("until") == "1970-01-01T00:16:50Z")
        #expect(object.status.integer("ejected") == 1 && object.status.list("circuits")[0].flag("open"))
        let row = try #require(Table.make([object], of: ResourceTypes.serviceHealth, at: now).rows.first)
        #expect(
            row.cells.prefix(10) == [
                "web", "p1", "yes", "readiness failing", "3s ago", 4, "ejected 10s (consecutive_5xx)", "open", "5.0",
                "0.0%",
            ]
        )
        // That time goes by is no news; that an ejection is another one is.
        let later = try #require(
            Table.make([object], of: ResourceTypes.serviceHealth, at: now.adding(seconds: 3)).rows.first
        )
        #expect(later.cells != row.cells && later.gist == row.gist)
    }
}
