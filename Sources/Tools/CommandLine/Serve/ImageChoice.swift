import CWeft
import Glibc
import Images
import Store

/// The images of a state directory, and what the environment says about where others are.
struct ImageChoice {
    let state: StateDirectory

    var directory: String { "\(state.path)/images" }

    /// Removes a store that holds nothing.
    func removeEmpty() {
        guard access(directory, F_OK) == 0, ImageStore.count(in: directory) == 0 else { return }
        _ = cweft_remove_tree(directory)
    }

    /// Says that images are kept.
    func noteKept() {
        let count = ImageStore.count(in: directory)
        guard count > 0 else { return }
        Terminal.note(
            "kept \(count) image\(count == 1 ? "" : "s") in \(directory); remove \(count == 1 ? "it" : "them") with: "
                + "weft image prune --all"
        )
    }

    var settings: ImageSettings {
        var settings = ImageSettings(directory: directory, isPrivileged: geteuid() == 0) { Int64(time(nil)) }
        settings.engineSockets = engineSockets
        settings.credentialFiles = credentialFiles
        settings.configurationFiles = ["\(state.path)/images.yaml", "/etc/weft/images.yaml"]
        return settings
    }

    private func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    private var engineSockets: [String] {
        var sockets: [String] = []
        // What somebody named comes before what is usual.
        for name in ["CONTAINER_HOST", "DOCKER_HOST"] {
            guard let text = variable(name), text.hasPrefix("unix://") else { continue }
            sockets.append(String(text.dropFirst(7)))
        }
        if geteuid() == 0 { sockets.append("/run/podman/podman.sock") }
        if let folder = variable("XDG_RUNTIME_DIR") {
            sockets += ["\(folder)/podman/podman.sock", "\(folder)/docker.sock"]
        }
        sockets.append("/var/run/docker.sock")
        var seen: Set<String> = []
        return sockets.filter { $0.hasPrefix("/") && seen.insert($0).inserted }
    }

    private var credentialFiles: [String] {
        if let file = variable("REGISTRY_AUTH_FILE") { return [file] }
        var files: [String] = []
        if let folder = variable("XDG_RUNTIME_DIR") { files.append("\(folder)/containers/auth.json") }
        let home = variable("HOME")
        if let home { files.append("\(variable("XDG_CONFIG_HOME") ?? "\(home)/.config")/containers/auth.json") }
        if let folder = variable("DOCKER_CONFIG") ?? home.map({ "\($0)/.docker" }) {
            files.append("\(folder)/config.json")
        }
        return files
    }
}
