import Glibc
import Sandbox
import Wire

/// `weft kubeconfig`: what kubectl and other clients of Kubernetes need to find this Weft.
enum KubeconfigCommand {
    static let command = Command(
        "kubeconfig",
        summary: "print a kubeconfig for kubectl and other Kubernetes clients",
        details: """
            Without --api-tls of 'weft up' it names the plain port, which only this user's programs may use; kubectl finds that on
            localhost:8080 even without it. With --api-tls it holds a client certificate: of an administrator, or with --user of
            somebody who may do what Roles give. Whoever reads the file has the account: --output writes it with mode 0600.
            """,
        options: [
            Option("user", value: "NAME", help: "an account of this name, good for a year (needs --api-tls)"),
            Option("group", value: "NAME", help: "a group of that account (may be repeated)"),
            Option("output", short: "o", value: "FILE", help: "write to this file, for its owner alone"),
            .stateDirectory,
        ],
        examples: [
            "weft kubeconfig -o ~/.kube/config && kubectl get pods",
            "weft kubeconfig --user alice --group devs -o alice.yaml",
        ]
    ) { arguments in
        let user = arguments.value("user")
        guard user != nil || arguments.all("group").isEmpty else { throw UsageError("--group needs --user") }
        let items: [(String, String?)] = [("user", user)] + arguments.all("group").map { ("group", $0) }
        let value = try await APIClient.connected(arguments).get(
            "/apis/weft.dev/v1alpha1/kubeconfig\(APIPath.query(items))"
        )
        let text = YAML.write(value)
        guard let path = arguments.value("output") else {
            Terminal.print(text, terminator: "")
            return .success
        }
        let absolute = FileReader.absolute(path)
        do { try replaceFile(absolute, with: text) } catch { throw CommandError("\(error)") }
        Terminal.note("wrote \(absolute)")
        return .success
    }
}
