import Resources
import Testing
import Wire

@Suite("Claims and volumes")
struct VolumeClaimTests {
    private func claim(_ spec: Value) -> Object {
        var object = Object(ResourceTypes.volumeClaims, namespace: "default", name: "data")
        object.uid = "u1"
        object.spec = spec
        return object
    }

    private func volume(_ spec: Value) -> PersistentVolume {
        var object = Object(ResourceTypes.volumes, name: "shelf")
        object.spec = spec
        object.labels = ["tier": "fast"]
        return PersistentVolume(object)
    }

    private let wish: Value = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]]
    private let shelf: Value = [
        "accessModes": ["ReadWriteOnce", "ReadWriteMany"], "capacity": ["storage": "2Gi"], "hostPath": ["path": "/x"],
    ]

    private func errors(_ object: Object, replacing old: Object? = nil) -> [String] {
        Validation(object, of: object.type ?? ResourceTypes.volumeClaims, replacing: old).errors.map(\.path)
    }

    @Test(
        "a claim needs access modes and an amount above zero",
        arguments: [
            ("{accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}", []),
            ("{resources: {requests: {storage: 1Gi}}}", ["spec.accessModes"]),
            ("{accessModes: [Never], resources: {requests: {storage: 1Gi}}}", ["spec.accessModes"]),
            ("{accessModes: [ReadWriteOnce]}", ["spec.resources.requests.storage"]),
            (
                "{accessModes: [ReadWriteOnce], resources: {requests: {storage: 0}}}",
                ["spec.resources.requests.storage"]
            ),
            (
                "{accessModes: [ReadWriteOnce], resources: {requests: {storage: -1}}}",
                ["spec.resources.requests.storage"]
            ),
        ] as [(String, [String])]
    )
    func validation(spec: String, expected: [String]) throws {
        let value = try #require(try YAML.parse(spec).first?.value)
        #expect(errors(claim(value)) == expected)
    }

    @Test("of a stored claim only the request may change, and what the binder fills in")
    func changes() {
        var grown = wish
        grown.set(["resources", "requests", "storage"], "2Gi")
        #expect(errors(claim(grown), replacing: claim(wish)).isEmpty)
        var bound = wish
        bound["volumeName"] = "shelf"
        #expect(errors(claim(bound), replacing: claim(wish)).isEmpty)
        var moved = bound
        moved["volumeName"] = "other"
        #expect(errors(claim(moved), replacing: claim(bound)) == ["spec"])
        var shared = wish
        shared["accessModes"] = ["ReadWriteMany"]
        #expect(errors(claim(shared), replacing: claim(wish)) == ["spec"])
    }

    @Test("a volume's path is absolute and goes up nowhere", arguments: ["x", "/a/../b", ""])
    func paths(path: String) {
        var spec = shelf
        spec.set(["hostPath", "path"], .string(path))
        #expect(errors(volume(spec).object) == ["spec.hostPath.path"])
    }

    @Test("a volume suits by class, size, modes, labels, and when nobody else has it")
    func suits() {
        func suits(_ change: (inout Value) -> Void, _ other: (inout Value) -> Void = { _ in }) -> Bool {
            var (wish, shelf) = (wish, shelf)
            change(&wish)
            other(&shelf)
            return volume(shelf).suits(VolumeClaim(claim(wish)))
        }
        #expect(suits { _ in })
        #expect(!suits { $0["storageClassName"] = "fast" })
        #expect(suits({ $0["storageClassName"] = "fast" }, { $0["storageClassName"] = "fast" }))
        #expect(!suits { $0.set(["resources", "requests", "storage"], "3Gi") })
        #expect(!suits { $0["accessModes"] = ["ReadOnlyMany"] })
        #expect(suits { $0["selector"] = ["matchLabels": ["tier": "fast"]] })
        #expect(!suits { $0["selector"] = ["matchLabels": ["tier": "slow"]] })
        #expect(!suits({ _ in }, { $0["hostPath"] = nil }))
        #expect(!suits({ _ in }, { $0["claimRef"] = ["namespace": "default", "name": "other"] }))
        #expect(suits({ _ in }, { $0["claimRef"] = ["namespace": "default", "name": "data"] }))
        #expect(!suits({ _ in }, { $0["claimRef"] = ["namespace": "default", "name": "data", "uid": "old"] }))
    }

    @Test("a new claim carries the finalizer that protects its data, and nobody's status")
    func birth() throws {
        var object = claim(wish)
        object.status = ["phase": "Bound"]
        let birth = ObjectRules.Birth(uid: "u", now: Timestamp(seconds: 1), suffix: "abcde")
        let stored = try ObjectRules.prepareNew(object, of: ResourceTypes.volumeClaims, birth)
        #expect(stored.finalizers == [VolumeClaim.finalizer] && VolumeClaim(stored).phase == "Pending")
        #expect(VolumeClaim.shortModes(["ReadWriteOncePod", "Odd"]) == "RWOP,Odd")
    }
}
