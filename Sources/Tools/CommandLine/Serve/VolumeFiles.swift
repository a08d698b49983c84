import CWeft
import Controllers
import Glibc
import Sandbox

/// The directories of claims, `volumes/NAMESPACE/CLAIM` in the state directory: the only thing that outlives `weft down`.
struct VolumeFiles: LocalVolumes {
    let state: StateDirectory

    private var root: String { "\(state.path)/volumes" }

    func make(namespace: String, claim: String) async -> String? {
        let place = "\(root)/\(namespace)/\(claim)"
        guard access(place, F_OK) != 0 else { return nil }
        do throws(SandboxError) {
            // Others may pass, not look: what a volume is called says something about its owner.
            try makeDirectory("\(root)/\(namespace)", mode: 0o711)
            try makeDirectory(place, mode: 0o777)
        } catch { return error.message }
        // Whatever user a pod runs as may write, as in a fresh emptyDir; the state directory itself lets nobody pass.
        guard chmod(place, 0o777) == 0 else { return "cannot open \(place) to pods: \(FileReader.describe(errno))" }
        return nil
    }

    func remove(namespace: String, claim: String) async -> String? {
        let place = "\(root)/\(namespace)/\(claim)"
        do throws(SandboxError) { try Leftovers.remove(place) } catch { return error.message }
        rmdir("\(root)/\(namespace)")
        rmdir(root)
        return nil
    }

    /// Removes directories that nothing was ever written to.
    func removeEmpty() {
        for namespace in listDirectory(root) {
            for claim in listDirectory("\(root)/\(namespace)") { rmdir("\(root)/\(namespace)/\(claim)") }
            rmdir("\(root)/\(namespace)")
        }
        rmdir(root)
    }

    /// Removes every volume and its data.
    func removeAll() throws(CommandError) {
        guard access(root, F_OK) == 0 else { return }
        do throws(SandboxError) { try Leftovers.remove(root) } catch { throw CommandError(error.message) }
        rmdir(state.path)
    }

    /// Says which data is kept.
    func noteKept() {
        let count = listDirectory(root).reduce(0) { $0 + listDirectory("\(root)/\($1)").count }
        guard count > 0 else { return }
        Terminal.note(
            "kept \(count) volume\(count == 1 ? "" : "s") in \(root); remove "
                + "\(count == 1 ? "it" : "them") with: weft down --volumes"
        )
    }
}
