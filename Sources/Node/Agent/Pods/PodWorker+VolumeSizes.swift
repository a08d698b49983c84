import CWeft
import Resources
import Sandbox

// emptyDir volumes on the disk with a `sizeLimit`: a pod that writes more is evicted, as in Kubernetes.
extension PodWorker {
    private static let shortestPause: Duration = .seconds(1)
    private static let longestPause: Duration = .seconds(300)

    struct LimitedVolume: Sendable {
        let name: String
        let limit: String
        let bytes: Int
    }

    var limitedVolumes: [LimitedVolume] {
        spec.volumes.compactMap { volume in
            guard case .emptyDir(let isMemory, let text?) = volume.source, !isMemory, let limit = Quantity(text) else {
                return nil
            }
            return LimitedVolume(name: volume.name, limit: text, bytes: limit.rounded)
        }
    }

    func watchVolumeSizes() async {
        var pause = Self.shortestPause
        while !hasFinishedLife, !isStopping {
            let next = ContinuousClock.now + pause
            while !hasFinishedLife, !isStopping, ContinuousClock.now < next { await changed(until: next) }
            let start = ContinuousClock.now
            for volume in limitedVolumes where !isStopping {
                guard await Self.size(of: "\(directory)/volumes/\(volume.name)", atMost: volume.bytes) > volume.bytes
                else { continue }
                let message = "Usage of EmptyDir volume \"\(volume.name)\" exceeds the limit \"\(volume.limit)\"."
                failWhole("Evicted", message)
            }
            // Looking takes at most a hundredth of a processor.
            pause = min(max((.now - start) * 100, Self.shortestPause), Self.longestPause)
        }
    }

    /// The bytes that a tree takes on the disk, counted until they are more than asked about; off the actor.
    private nonisolated static func size(of path: String, atMost limit: Int) async -> Int {
        Int(clamping: cweft_tree_size(path, UInt64(clamping: limit)))
    }
}
