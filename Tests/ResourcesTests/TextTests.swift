import Resources
import Testing
import Wire

@Suite("Texts of Kubernetes")
struct TextTests {
    @Test(
        "ages",
        arguments: [
            (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (600, "10m"), (10_740, "179m"), (10_800, "3h"),
            (11_400, "3h10m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"), (273_600, "3d4h"), (691_200, "8d"),
            (63_072_000, "2y"), (96_336_000, "3y20d"), (-1, "0s"), (-5, "<invalid>"),
        ]
    )
    func ages(seconds: Int, expected: String) { #expect(HumanDuration.text(seconds: seconds) == expected) }

    @Test(
        "times are read and written",
        arguments: [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2026-01-02T03:04:05Z", 1_767_323_045, "2026-01-02T03:04:05Z"),
            ("2026-01-02T05:04:05+02:00", 1_767_323_045, "2026-01-02T03:04:05Z"),
            ("2000-02-29T23:59:59.5Z", 951_868_799, "2000-02-29T23:59:59Z"),
            ("1969-12-31T23:59:59Z", -1, "1969-12-31T23:59:59Z"),
            ("9999-12-31T23:59:59Z", 253_402_300_799, "9999-12-31T23:59:59Z"),
        ]
    )
    func times(text: String, seconds: Int, written: String) throws {
        let time = try #require(Timestamp(text))
        #expect(time.seconds == Int64(seconds))
        #expect(time.description == written)
    }

    @Test(
        "what is no time is refused",
        arguments: [
            "", "2026", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00Zx",
            "2026-01-01T00:00:00+2:00",
        ]
    )
    func noTimes(text: String) { #expect(Timestamp(text) == nil) }

    @Test("fractions are written for leases and logs")
    func fractions() throws {
        let time = try #require(Timestamp("2026-01-02T03:04:05.123456789Z"))
        #expect(time.microDescription == "2026-01-02T03:04:05.123456Z")
        #expect(time.nanoDescription == "2026-01-02T03:04:05.123456789Z")
    }

    @Test(
        "quantities are exact",
        arguments: [
            ("1", 1, 1000), ("250m", 1, 250), ("1.5", 2, 1500), ("64Mi", 67_108_864, 67_108_864_000),
            ("1k", 1000, 1_000_000),
            ("2e3", 2000, 2_000_000), ("0", 0, 0), ("100u", 1, 1), ("-1", -1, -1000), (".5", 1, 500),
            ("1Gi", 1_073_741_824, 1_073_741_824_000),
            ("0.1", 1, 100), ("1E", 1_000_000_000_000_000_000, Int.max),
        ]
    )
    func quantities(text: String, rounded: Int, milli: Int) throws {
        let quantity = try #require(Quantity(text))
        #expect(quantity.rounded == rounded)
        #expect(quantity.milli == milli)
    }

    @Test(
        "what is no quantity is refused",
        arguments: [
            "", "m", "1 Mi", "1mi", "1.2.3", "1e99", "٣", "0x10", "1Mib", "--1", "9999999999999999999999999999999999",
        ]
    )
    func noQuantities(text: String) { #expect(Quantity(text) == nil) }

    @Test("quantities compare by amount") func compare() {
        #expect(Quantity("1000m") == Quantity("1"))
        #expect(Quantity("1Ki") == Quantity("1024"))
        #expect((Quantity("999m") ?? Quantity("9"))! < Quantity("1")!)
    }

    @Test(
        "label selectors choose as on kubectl's command line",
        arguments: [
            ("app=web", true), ("app==web", true), ("app!=web", false), ("app in (web,db)", true),
            ("app notin (web)", false),
            ("tier", false), ("!tier", true), ("app", true), ("!app", false), ("tier!=x", true),
            ("tier notin (x)", true),
            ("app=web,env=prod", true), ("app=web,env=dev", false), ("", true), ("n>4", true), ("n<4", false),
            ("app in (a, web )", true),
            ("example.com/part=x", true),
        ]
    )
    func selectors(text: String, expected: Bool) throws {
        let labels = ["app": "web", "env": "prod", "n": "5", "example.com/part": "x"]
        #expect(try LabelSelector(text: text).matches(labels) == expected)
    }

    @Test(
        "unreadable selectors are refused",
        arguments: ["app=(", "app in web", "=x", "a=b=c", "app in (a", "a,,b", "-x", "app=a b", "x)"]
    )
    func badSelectors(text: String) { #expect(throws: APIError.self) { try LabelSelector(text: text) } }

    @Test(
        "matchExpressions choose",
        arguments: [
            ("In", ["web"], true), ("NotIn", ["web"], false), ("Exists", [], true), ("DoesNotExist", [], false),
            ("Odd", [], false),
        ] as [(String, [String], Bool)]
    )
    func expressions(verb: String, values: [String], expected: Bool) {
        let selector = LabelSelector([
            "matchExpressions": [["key": "app", "operator": .string(verb), "values": .array(values.map(Value.string))]]
        ])
        #expect(selector.matches(["app": "web"]) == expected)
    }

    @Test("field selectors know each kind's fields") func fieldSelectors() throws {
        let pod = try object(
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n1}, status: {phase: Running}}"
        )
        #expect(try FieldSelector(text: "status.phase=Running,spec.nodeName!=n2", for: ResourceTypes.pods).matches(pod))
        #expect(try !FieldSelector(text: "metadata.name==b", for: ResourceTypes.pods).matches(pod))
        #expect(throws: APIError.badRequest("field label not supported: spec.color")) {
            try FieldSelector(text: "spec.color=red", for: ResourceTypes.pods)
        }
    }

    @Test(
        "types are found by every name",
        arguments: [
            ("po", "Pod"), ("pods", "Pod"), ("Pod", "Pod"), ("deploy", "Deployment"),
            ("deployments.apps", "Deployment"),
            ("deployments.v1.apps", "Deployment"), ("svc", "Service"), ("ing", "Ingress"), ("images", "Image"),
            ("eps", ""), ("ns", "Namespace"),
        ]
    )
    func types(word: String, kind: String) { #expect(ResourceTypes.find(named: word)?.kind ?? "" == kind) }

    @Test(
        "images are resolved by reference, name and short name",
        arguments: [
            ("registry.local/shop/users:1.2", "exact"), ("users", "users"), ("other.io/x/users:9", "users"),
            ("users@sha256:aa", "users"),
            ("orders:1", nil), ("localhost:5000/users", "users"),
        ] as [(String, String?)]
    )
    func images(reference: String, expected: String?) throws {
        let images = [
            try object(
                "{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: exact}, spec: {image: \"registry.local/shop/users:1.2\", directory: /a}}"
            ),
            try object("{apiVersion: weft.dev/v1alpha1, kind: Image, metadata: {name: users}, spec: {directory: /b}}"),
        ]
        #expect(ImageSpec.resolve(reference, among: images)?.name == expected)
    }

    @Test("an error survives its way as a Status") func status() {
        let error = APIError.invalid(
            ResourceTypes.deployments,
            "web",
            [FieldError("spec.replicas", .invalid, "Invalid value: -1")]
        )
        #expect(error.message == "Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1")
        #expect(APIError(status: error.status) == error)
        #expect(APIError(status: ["kind": "Status", "status": "Success"]) == nil)
    }
}
