import Mesh
import Resources
import Testing

@Suite("Policies of Services")
struct PolicyTests {
    @Test(
        "the protocol of a port",
        arguments: [
            ("http", 80, nil, ServiceProtocol.http), ("http-api", 8080, nil, .http), ("", 8080, nil, .detect),
            ("web", 80, nil, .detect), ("tcp-echo", 80, nil, .tcp), ("", 3306, nil, .tcp), ("db", 5432, nil, .tcp),
            ("https", 443, nil, .tcp), ("grpc", 50051, nil, .http2), ("tcp", 80, "http", .http),
            ("", 9, "kubernetes.io/h2c", .http2),
            ("http", 80, "tcp", .tcp), ("http", 443, nil, .http), ("x", 80, "example.com/own", .detect),
        ] as [(String, Int, String?, ServiceProtocol)]
    )
    func protocolOfPort(name: String, number: Int, appProtocol: String?, expected: ServiceProtocol) {
        #expect(ServiceProtocol(.init(name: name, port: number, appProtocol: appProtocol)) == expected)
    }

    @Test("annotations set the policy")
    func annotations() {
        var problems: [String] = []
        let policy = ServicePolicy(
            [
                "weft.dev/request-timeout": "1m30s", "weft.dev/connect-timeout": "250ms", "weft.dev/retries": "0",
                "weft.dev/load-balancer": "least_request", "weft.dev/max-connections": "10",
                "weft.dev/outlier-detection": "off", "example.com/other": "x",
            ],
            problems: &problems
        )
        #expect(problems.isEmpty)
        #expect(policy.requestTimeout == .seconds(90))
        #expect(policy.connectTimeout == .milliseconds(250))
        #expect(policy.retries == 0 && policy.loadBalancer == .leastRequest)
        #expect(policy.maxConnections == 10 && !policy.detectsOutliers)
    }

    @Test(
        "what cannot be used is named and the default stays",
        arguments: [
            ("request-timeout", "soon"), ("request-timeout", "-1s"), ("request-timeout", "1"), ("request-timeout", ""),
            ("request-timeout", "1e400s"), ("request-timeout", "99999h"), ("retries", "11"), ("retries", "-1"),
            ("load-balancer", "magic"), ("max-connections", "0"), ("outlier-detection", "true"),
            ("requst-timeout", "1s"),
        ]
    )
    func bad(name: String, text: String) {
        var problems: [String] = []
        let policy = ServicePolicy(["weft.dev/\(name)": text], problems: &problems)
        #expect(problems.count == 1 && problems[0].hasPrefix("weft.dev/\(name)"))
        #expect(policy == ServicePolicy())
    }

    @Test("a bad annotation becomes a warning of its Service")
    func warning() {
        var state = shop()
        state.services[0].annotations["weft.dev/retries"] = "many"
        let warnings = ProxyConfiguration(state).warnings
        #expect(
            warnings.map { "\($0.kind) \($0.namespace)/\($0.name) \($0.reason)" } == [
                "Service shop/web InvalidAnnotation"
            ]
        )
    }
}
