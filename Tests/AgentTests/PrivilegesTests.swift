import Agent
import Resources
import Sandbox
import Testing
import Wire

@Suite("Privileges of a container")
struct ContainerPrivilegesTests {
    private func privileges(_ container: Value, pod: Value = [:]) throws -> ContainerPrivileges {
        let spec = PodSpec(["securityContext": pod, "containers": [["name": "c", "securityContext": container]]])
        return try ContainerPrivileges(try #require(spec.containers.first), in: spec)
    }

    private func set(_ names: String...) throws -> Capabilities {
        try names.reduce(into: []) { $0.insert(try #require(Capabilities($1))) }
    }

    @Test("who asks for nothing is root with the usual capabilities and the usual filter")
    func usual() throws {
        let found = try privileges([:])
        #expect(found.user == 0 && found.group == 0 && found.capabilities == .usual && found.filter == .standard)
    }

    @Test("a container's own word comes before its pod's")
    func precedence() throws {
        let pod: Value = [
            "runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4], "runAsNonRoot": true,
            "seccompProfile": ["type": "RuntimeDefault"],
        ]
        let inherited = try privileges([:], pod: pod)
        #expect(inherited.user == 1 && inherited.group == 2 && inherited.supplementaryGroups == [4, 3])
        #expect(inherited.filter == .strict)
        let own = try privileges(
            ["runAsUser": 0, "runAsNonRoot": false, "seccompProfile": ["type": "Unconfined"]],
            pod: pod
        )
        #expect(own.user == 0 && own.group == 2 && own.filter == .off)
        #expect(throws: EnvironmentBuilder.Missing.self) { try privileges(["runAsUser": 0], pod: pod) }
    }

    @Test("ALL is dropped before single ones are added, and a name may carry CAP_ and any case")
    func dropAll() throws {
        let found = try privileges(["capabilities": ["drop": ["all"], "add": ["CAP_NET_RAW", "chown"]]])
        #expect(found.capabilities == (try set("NET_RAW", "CHOWN")) && found.refused.isEmpty)
    }

    @Test("what would open the pod, or is no name at all, is refused by name")
    func refused() throws {
        let found = try privileges(["capabilities": ["add": ["SYS_ADMIN", "SYS_PTRACE", "NO_SUCH", "NET_ADMIN"]]])
        #expect(found.refused == ["SYS_ADMIN", "SYS_PTRACE", "NO_SUCH"])
        #expect(found.capabilities == Capabilities.usual.union(try set("NET_ADMIN")))
        let all = try privileges(["capabilities": ["add": ["ALL"], "drop": ["CHOWN"]]])
        #expect(all.capabilities == Capabilities.allowed.subtracting(try set("CHOWN")))
    }
}

@Suite("Notes about a pod")
struct PodNotesTests {
    private func reasons(_ spec: Value, _ controllers: Set<String> = ["memory", "cpu"]) -> [String] {
        PodNotes.of(PodSpec(spec), controllers: controllers, mapsAllUsers: true).map(\.reason)
    }

    @Test("a pod that gets all it asks for has none")
    func none() {
        let limits: Value = ["limits": ["memory": "1Mi", "cpu": 1]]
        #expect(reasons(["containers": [["name": "c", "resources": limits]]]).isEmpty)
    }

    @Test("limits without control groups are said once")
    func limits() {
        let limits: Value = ["limits": ["memory": "1Mi", "cpu": 1]]
        let spec: Value = ["containers": [["name": "a", "resources": limits], ["name": "b", "resources": limits]]]
        let notes = PodNotes.of(PodSpec(spec), controllers: ["pids"], mapsAllUsers: true)
        #expect(notes.map(\.reason) == ["LimitsNotEnforced"])
        #expect(notes.first?.message.contains("memory and cpu") == true)
    }

    @Test("host namespaces, host ports and privileges are refused by name")
    func refused() {
        let spec: Value = [
            "hostNetwork": true, "hostPID": true,
            "containers": [
                ["name": "c", "ports": [["hostPort": 80]], "securityContext": ["privileged": true]]
            ],
        ]
        #expect(reasons(spec) == ["HostNamespaceRefused", "PrivilegedRefused"])
    }
}
