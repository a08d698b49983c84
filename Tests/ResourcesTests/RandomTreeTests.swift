import Resources
import Testing
import Wire

/// A small generator whose numbers are the same in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite("Any tree at all")
struct RandomTreeTests {
    private static let names = [
        "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "ownerReferences", "finalizers",
        "containers", "image", "ports", "containerPort", "port", "targetPort", "env", "valueFrom", "template",
        "selector",
        "matchLabels", "matchExpressions", "key", "operator", "values", "strategy", "rollingUpdate", "maxSurge",
        "replicas",
        "resources", "limits", "requests", "cpu", "volumes", "volumeMounts", "configMap", "items", "data", "stringData",
        "readinessProbe", "httpGet", "rules", "http", "paths", "backend", "service", "clusterIP", "type", "nodePort",
        "creationTimestamp", "deletionTimestamp", "containerStatuses", "state", "terminated", "$patch", "$retainKeys",
    ]
    private static let texts = [
        "", "a", "25%", "-1", "web", "10.96.0.1", "None", "\u{0}", "99999999999999999999", "é", "delete",
    ]

    private func tree(_ depth: Int, _ random: inout SeededGenerator) -> Value {
        switch Int.random(in: 0..<(depth > 0 ? 12 : 6), using: &random) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &random))
        case 2: return .int([0, -1, 1, 80, 65536, .max, .min].randomElement(using: &random) ?? 0)
        case 3: return .double([0.5, -1e300, 1e18, 3].randomElement(using: &random) ?? 0)
        case 4, 5: return .string(Self.texts.randomElement(using: &random) ?? "")
        case 6, 7: return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in tree(depth - 1, &random) })
        default:
            var fields = Fields()
            for _ in 0..<Int.random(in: 0..<7, using: &random) {
                fields[Self.names.randomElement(using: &random) ?? "a"] = tree(depth - 1, &random)
            }
            return .object(fields)
        }
    }

    /// Replaces random parts of a good object, so that the trees are nearly right.
    private func spoil(_ value: Value, _ random: inout SeededGenerator) -> Value {
        if Int.random(in: 0..<14, using: &random) == 0 { return tree(2, &random) }
        switch value {
        case .array(let elements): return .array(elements.map { spoil($0, &random) })
        case .object(let fields):
            var result = Fields()
            for (name, item) in fields { result[name] = spoil(item, &random) }
            return .object(result)
        default: return value
        }
    }

    @Test("nothing traps, and what is accepted can be completed, shown, patched and applied", arguments: 0..<8)
    func total(seed: Int) throws {
        var random = SeededGenerator(state: UInt64(seed) &* 977 &+ 11)
        let good = try [
            deployment,
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: NodePort, ports: [{port: 80, nodePort: 30001}]}}",
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {volumes: [{name: v, configMap: {name: c, items: [{key: a, path: b}]}}], containers: [{name: a, image: b, env: [{name: A, valueFrom: {fieldRef: {fieldPath: x}}}], resources: {limits: {cpu: 1}}}]}, status: {phase: Running, containerStatuses: [{name: a, state: {terminated: {exitCode: 1}}}]}}",
            "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: w, port: {number: 80}}}}]}}]}}",
            "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {a: b}}",
        ].map(object)
        let now = Timestamp(seconds: 0)
        for _ in 0..<150 {
            guard let original = good.randomElement(using: &random), let type = original.type else { continue }
            var value = spoil(original.value, &random)
            value["apiVersion"] = .string(type.apiVersion)
            value["kind"] = .string(type.kind)
            let spoiled = Object(value)
            _ = Validation(spoiled, of: type).errors
            _ = Table.make([spoiled], of: type, at: now).lines(isWide: true)
            let patch = tree(3, &random)
            _ = Patch.merge(patch, into: value)
            _ = Patch.strategic(patch, into: value, shape: Schema.shape(of: type))
            _ = try? Patch.json(patch, into: value)
            _ = Apply.merge(spoiled, onto: original, of: type)
            let birth = ObjectRules.Birth(uid: "u", now: now, suffix: "abcde")
            guard let stored = try? ObjectRules.prepareNew(spoiled, of: type, birth) else { continue }
            // What was checked once has nothing to complain about the second time.
            #expect(SchemaCheck(stored.value, of: type).errors.isEmpty)
            _ = try? ObjectRules.prepareReplace(spoiled, of: type, stored: stored)
            _ = Validation(stored, of: type, replacing: original).errors
        }
    }
}
