import CWeft
import Glibc
import Resources
import Sandbox
import Wire

// emptyDir volumes on the disk with a `sizeLimit`, and what containers of images made of layers write and log, under a limit
// of `ephemeral-storage`: a pod that writes more is evicted, as in Kubernetes.
extension PodWorker {
    private static let shortestPause: Duration = .seconds(1)
    private static let longestPause: Duration = .seconds(300)

    struct LimitedPlace: Sendable {
        /// Of the volume, or of the container.
        let name: String
        let isVolume: Bool
        let limit: String
        let bytes: Int

        var message: String {
            isVolume
                ? "Usage of EmptyDir volume \"\(name)\" exceeds the limit \"\(limit)\"."
                : "Container \(name) exceeded its local ephemeral storage limit \"\(limit)\"."
        }
    }

    var limitedPlaces: [LimitedPlace] {
        let volumes = spec.volumes.compactMap { volume -> LimitedPlace? in
            guard case .emptyDir(let isMemory, let text?) = volume.source, !isMemory, let limit = Quantity(text) else {
                return nil
            }
            return LimitedPlace(name: volume.name, isVolume: true, limit: text, bytes: limit.rounded)
        }
        guard ports.images != nil, plain == nil else { return volumes }
        return volumes
            + (spec.initContainers + spec.containers).compactMap { container in
                let name = "ephemeral-storage"
                guard let limit = container.resources.limit(name),
                    let text = container.value.at("resources", "limits", name)?.stringValue
                else { return nil }
                return LimitedPlace(name: container.name, isVolume: false, limit: text, bytes: limit.rounded)
            }
    }

    private func size(of place: LimitedPlace) async -> Int {
        guard !place.isVolume else {
            return await Self.size(of: "\(directory)/volumes/\(place.name)", atMost: place.bytes)
        }
        let writes = "\(directory)/writes/\(place.name)-\(slots[place.name]?.attempt ?? 0)/u"
        // Only an image made of layers has writes of its own on the disk.
        guard access(writes, F_OK) == 0 else { return 0 }
        let logged = await Self.size(of: "\(directory)/logs/\(place.name)", atMost: place.bytes)
        return await Self.size(of: writes, atMost: place.bytes) + logged
    }

    func watchVolumeSizes() async {
        var pause = Self.shortestPause
        while !hasFinishedLife, !isStopping {
            let next = ContinuousClock.now + pause
            while !hasFinishedLife, !isStopping, ContinuousClock.now < next { await changed(until: next) }
            let start = ContinuousClock.now
            for place in limitedPlaces where !isStopping {
                guard await size(of: place) > place.bytes else { continue }
                failWhole("Evicted", place.message)
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
