import Agent
import Controllers
import Glibc
import Images
import Resources
import Sandbox
import Store
import Wire

/// The store of images as the agent asks it.
struct ImagePorts: ContainerImages {
    let host: ImageHost

    var layersDirectory: String { host.settings.directory }

    func find(_ reference: String) async throws(ContainerImageProblem) -> ContainerImage? {
        var options = ResolveOptions()
        options.policy = .never
        do throws(ImageError) { return try await image(reference, options) } catch {
            guard error.kind != .neverPull, error.kind != .notFound else { return nil }
            throw Self.problem(error)
        }
    }

    func pull(
        _ reference: String,
        isForced: Bool,
        secrets: [[UInt8]]
    ) async throws(ContainerImageProblem) -> ContainerImage {
        var options = ResolveOptions()
        options.policy = isForced ? .always : .ifNotPresent
        options.secrets = secrets
        do throws(ImageError) { return try await image(reference, options) } catch { throw Self.problem(error) }
    }

    private func image(_ reference: String, _ options: ResolveOptions) async throws(ImageError) -> ContainerImage {
        let found = try await host.store().resolve(reference, options: options)
        var image = ContainerImage(statusID: found.statusID, layers: found.layerDirectories)
        image.identity = found.imageID.description
        image.env = found.config.env
        image.entrypoint = found.config.entrypoint
        image.cmd = found.config.cmd
        image.user = found.config.user
        image.workingDirectory = found.config.workingDir
        image.stopSignal = found.config.stopSignal
        image.size = found.size
        return image
    }

    private static func problem(_ error: ImageError) -> ContainerImageProblem {
        ContainerImageProblem(.init(rawValue: error.reason) ?? .pull, error.message)
    }

    func retain(_ image: ContainerImage, pod uid: String) async {
        guard let identity = Digest(image.identity), let store = try? await host.store() else { return }
        await store.retain(identity, by: uid)
    }

    func release(pod uid: String) async {
        // Nobody has opened it: nothing of it is held.
        guard await host.figures() != nil, let store = try? await host.store() else { return }
        await store.release(by: uid)
    }
}

/// Which OCI runtimes are tried: `$WEFT_RUNTIMES`, such as `runc,crun`, or `weft` for none of them.
enum RuntimeOrder {
    static func read() throws(UsageError) -> [OCIRuntime.Kind] {
        guard let value = getenv("WEFT_RUNTIMES"), value.pointee != 0 else { return RuntimeSearch.order }
        let words = String(cString: value)
        guard let order = RuntimeSearch.order(words) else {
            throw UsageError(
                "WEFT_RUNTIMES is \"\(words)\": write crun, runc and weft in the order to try, with commas between them"
            )
        }
        return order
    }
}

/// Writes down who runs containers of images: in the Node's status and annotation, and, where one was refused, as its event.
struct RuntimePorts: RuntimeListener {
    static let annotation = "weft.dev/oci-runtime"

    let store: any ObjectStore
    let events: EventRecorder

    func runtimeChosen(_ choice: RuntimeChoice) async {
        let key = ObjectKey(ResourceTypes.nodes, name: PodBinder.nodeName)
        let name = choice.runtime?.description
        _ = try? await store.modify(key) { (node) throws(APIError) in
            node.annotations[Self.annotation] = choice.description
        }
        _ = try? await store.modifyStatus(key) { (node) throws(APIError) in
            if let name { node.status.set(["nodeInfo", "containerRuntimeVersion"], .string(name)) }
        }
        guard !choice.refusals.isEmpty, let node = try? await store.find(key) else { return }
        let used = choice.runtime.map { $0.kind.rawValue } ?? "weft itself"
        let message = "containers of images are run by \(used); \(choice.reasons)"
        events.record(node, .normal, reason: "RuntimeRefused", message: message, component: "weft-agent")
    }
}
