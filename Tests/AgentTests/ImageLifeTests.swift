import Agent
import CWeft
import Glibc
import Resources
import Sandbox
import Store
import Synchronization
import Testing

/// Images of a test: what is here, what a registry would have, and what was asked for.
final class FakeImages: ContainerImages {
    private struct State {
        var present: [String: ContainerImage] = [:]
        var remote: [String: ContainerImage] = [:]
        var problems: [String: ContainerImageProblem] = [:]
        var asked: [String] = []
        var users: [String: [String]] = [:]
    }

    let layersDirectory: String
    private let state = Mutex(State())

    init(_ directory: String) { layersDirectory = directory }

    func find(_ reference: String) async throws(ContainerImageProblem) -> ContainerImage? {
        let (image, problem) = state.withLock { ($0.present[reference], $0.problems[reference]) }
        if let problem { throw problem }
        return image
    }

    func pull(_ reference: String, isForced: Bool, secrets: [[UInt8]]) async throws(ContainerImageProblem)
        -> ContainerImage
    {
        let words = secrets.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",")
        let image = state.withLock { state in
            state.asked.append(words.isEmpty ? reference : "\(reference) with \(words)")
            if let image = state.remote[reference] { state.present[reference] = image }
            return state.remote[reference]
        }
        guard let image else { throw ContainerImageProblem(.pull, "no \(reference) anywhere") }
        return image
    }

    func retain(_ image: ContainerImage, pod uid: String) async {
        state.withLock { $0.users[uid, default: []].append(image.statusID) }
    }

    func release(pod uid: String) async { state.withLock { _ = $0.users.removeValue(forKey: uid) } }

    var asked: [String] { state.withLock { $0.asked } }
    var users: [String: [String]] { state.withLock { $0.users } }

    func load(_ name: String, _ image: ContainerImage) { state.withLock { $0.present[name] = image } }
    func serve(_ name: String, _ image: ContainerImage) { state.withLock { $0.remote[name] = image } }
    func spoil(_ name: String, _ problem: ContainerImageProblem) { state.withLock { $0.problems[name] = problem } }
}

@Suite(
    "Life of pods of images",
    .enabled(
        if: Allowed.pods && access("/bin/busybox", X_OK) == 0,
        "this machine allows no pods to this user, or has no static busybox"
    )
)
struct ImageLifeTests {
    private func stage(_ order: [OCIRuntime.Kind] = []) async throws -> (Stage, FakeImages, ContainerImage) {
        var template = Array("/tmp/weft-images-XXXXXX\0".utf8CString)
        let directory = String(cString: mkdtemp(&template))
        chmod(directory, 0o755)
        let layer = "\(directory)/one"
        try makeDirectory("\(layer)/bin", mode: 0o755)
        try makeDirectory("\(layer)/etc", mode: 0o755)
        let from = open("/bin/busybox", O_RDONLY)
        let to = open("\(layer)/bin/busybox", O_WRONLY | O_CREAT, 0o755)
        while sendfile(to, from, nil, 1 << 24) > 0 {}
        close(from)
        close(to)
        for name in ["sh", "id", "sleep", "cat", "true"] { symlink("busybox", "\(layer)/bin/\(name)") }
        try replaceFile("\(layer)/etc/passwd", with: "root:x:0:0::/root:\nweb:x:101:102::/home/web:\n", mode: 0o644)
        try replaceFile("\(layer)/etc/group", with: "web:x:102:\nextra:x:103:a,web\n", mode: 0o644)
        let images = FakeImages(directory)
        var image = ContainerImage(statusID: "registry.test/app@sha256:1", layers: [layer])
        image.env = ["PATH=/bin", "FROM=image"]
        image.entrypoint = ["sh", "-c"]
        image.cmd = ["echo no command; exit 1"]
        image.workingDirectory = "/work"
        image.size = 4711
        return (try await Stage(images: images, runtimes: order), images, image)
    }

    private func end(_ stage: Stage, _ images: FakeImages) async {
        await stage.close()
        #expect(images.users.isEmpty)
        cweft_remove_tree(images.layersDirectory)
    }

    private func pod(
        _ name: String,
        _ image: String,
        _ script: String,
        policy: String = "IfNotPresent",
        more: String = ""
    )
        -> String
    {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: \(name)}
        spec:
          nodeName: weft
          restartPolicy: Never
          terminationGracePeriodSeconds: 20
          containers:
          - name: c
            image: \(image)
            imagePullPolicy: \(policy)
            args: ['\(script)']
        \(more)
        """
    }

    private func ended(_ stage: Stage, _ name: String) async throws -> ContainerStatus? {
        let pod = try await stage.until(name, "ended") { ["Succeeded", "Failed"].contains($0?.phase ?? "") }
        return pod.map { PodStatus($0.status) }?.containerStatuses.first
    }

    @Test(
        "an image is pulled once, told in events, and runs as its configuration and the pod say",
        arguments: [true, false]
    )
    func pulls(byRuntime: Bool) async throws {
        let (stage, images, image) = try await stage(byRuntime ? OCIRuntime.Kind.allCases : [])
        images.serve("registry.test/app:1", image)
        try await stage.apply(
            "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\nstringData: {.dockerconfigjson: mine}"
        )
        let secrets = "  imagePullSecrets: [{name: login}, {name: none}]"
        try await stage.apply(pod("a", "registry.test/app:1", "echo $FROM $PWD $HOME; exit 3", more: secrets))
        let status = try #require(try await ended(stage, "a"))
        #expect(status.value.text("imageID") == image.statusID)
        guard case .terminated(let end)? = status.state else {
            Issue.record("not terminated")
            return
        }
        #expect(end.exitCode == 3)
        #expect(try await stage.log("a").hasSuffix(" stdout F image /work /root\n"))
        try await stage.apply(pod("b", "registry.test/app:1", "true"))
        _ = try await ended(stage, "b")
        #expect(images.asked == ["registry.test/app:1 with mine"])
        let told = stage.told.events
        #expect(told.contains("a Pulling: Pulling image \"registry.test/app:1\""))
        #expect(
            told.contains {
                $0.hasPrefix("a Pulled: Successfully pulled image \"registry.test/app:1\" in ")
                    && $0.hasSuffix(" including waiting). Image size: 4711 bytes.")
            }
        )
        #expect(told.contains("b Pulled: Container image \"registry.test/app:1\" already present on machine"))
        #expect(told.contains { $0.contains("FailedToRetrieveImagePullSecret") && $0.contains("(none)") })
        #expect(!told.contains { $0.contains("SandboxChanged") })
        try await stage.apply(pod("c", "registry.test/app:1", "true", policy: "Always"))
        _ = try await ended(stage, "c")
        #expect(images.asked.count == 2)
        await self.end(stage, images)
    }

    @Test("users have the names and groups of the image, and a name that must not be root is not believed")
    func users() async throws {
        guard geteuid() == 0 else { return }
        var (stage, images, image) = try await stage()
        image.user = "web"
        images.load("app", image)
        try await stage.apply(pod("a", "app", "id -u; id -g; id -G; echo $HOME"))
        _ = try await ended(stage, "a")
        let lines = try await stage.log("a").split(separator: "\n").map { $0.split(separator: " ", maxSplits: 3)[3] }
        #expect(lines == ["101", "102", "102 103", "/home/web"])
        try await stage.apply(
            pod("b", "app", "true", more: "    securityContext: {runAsNonRoot: true}")
        )
        try await stage.until("b", "refused") { $0.waits("CreateContainerConfigError") }
        image.user = "nobody-knows"
        images.load("other", image)
        try await stage.apply(pod("d", "other", "true"))
        let waiting = try await stage.until("d", "refused") { $0.waits("CreateContainerConfigError") }
        #expect(waiting.map { "\($0.status)" }?.contains("unable to find user nobody-knows") == true)
        await self.end(stage, images)
    }

    @Test("what cannot be had is told in Kubernetes' reasons, and runs as soon as it is here")
    func problems() async throws {
        let (stage, images, image) = try await stage()
        images.spoil("BAD", ContainerImageProblem(.invalidName, "couldn't parse image name \"BAD\""))
        try await stage.apply(pod("bad", "BAD", "true"))
        try await stage.apply(pod("never", "app:1", "exit 5", policy: "Never"))
        try await stage.apply(pod("missing", "registry.test/none:1", "exit 6"))
        try await stage.until("bad", "InvalidImageName") { $0.waits("InvalidImageName") }
        try await stage.until("never", "ErrImageNeverPull") { $0.waits("ErrImageNeverPull") }
        try await stage.until("missing", "ErrImagePull") { $0.waits("ErrImagePull") }
        try await stage.until("missing", "ImagePullBackOff") { $0.waits("ImagePullBackOff") }
        #expect(stage.told.events.contains("missing BackOff: Back-off pulling image \"registry.test/none:1\""))
        #expect(
            stage.told.events.contains {
                $0.hasPrefix("missing Failed: Failed to pull image \"registry.test/none:1\": no registry.test/none:1")
            }
        )
        // Once, or again after the back-off where that is over already; never the name that is none.
        #expect(Set(images.asked) == ["registry.test/none:1"] && images.asked.count < 5)
        images.load("app:1", image)
        images.load("registry.test/none:1", image)
        for (name, code) in [("never", 5), ("missing", 6)] {
            guard case .terminated(let end)? = try await ended(stage, name)?.state else {
                Issue.record("\(name) is not terminated")
                continue
            }
            #expect(end.exitCode == code)
        }
        await self.end(stage, images)
    }

    @Test("a container is asked to end by its image's signal, and what it wrote beyond its limit ends the pod")
    func ends() async throws {
        var (stage, images, image) = try await stage()
        image.stopSignal = "SIGQUIT"
        images.load("app", image)
        let script = #"trap "exit 0" QUIT; echo up; while :; do sleep 0.02; done"#
        try await stage.apply(pod("a", "app", script))
        try await stage.eventually("log up") { try await stage.log("a").contains("up") }
        _ = try await stage.store.delete(Stage.key("a"), DeleteOptions())
        try await stage.until("a", "gone") { $0 == nil }
        try await stage.apply(
            pod(
                "b",
                "app",
                "while :; do echo 0123456789012345678901234567890123456789 >> /file; done",
                more: "    resources: {limits: {ephemeral-storage: 64Ki}}"
            )
        )
        let evicted = try await stage.until("b", "evicted") { $0?.reason == "Evicted" }
        #expect(
            evicted.map { PodStatus($0.status).message }
                == "Container c exceeded its local ephemeral storage limit \"64Ki\"."
        )
        await self.end(stage, images)
    }
}
