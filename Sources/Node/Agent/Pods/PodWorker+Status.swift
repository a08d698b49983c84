import Resources
import Store

// Writing the pod's status: one writer, always the newest state, never more often than the store takes it.
extension PodWorker {
    /// The status changed and has to be written.
    func publish() {
        wantedStatus += 1
        wake()
    }

    /// Waits until what was published is stored (or cannot be: the pod is gone from the store).
    func flush() async {
        let wanted = wantedStatus
        while writtenStatus < wanted, !isGoneFromStore { await changed() }
    }

    /// The writer. Ends after the last status of the pod's life.
    func writeStatus() async {
        while !isGoneFromStore {
            guard writtenStatus < wantedStatus else {
                if hasFinishedLife { return }
                await changed()
                continue
            }
            let version = wantedStatus
            let (builder, uid, time) = (status, uid, now())
            do throws(APIError) {
                try await store.modifyStatus(key) { (object) throws(APIError) in
                    guard object.uid == uid else { throw .notFound(ResourceTypes.pods, object.name) }
                    object.status = builder.status(over: object.status, now: time)
                }
                writtenStatus = max(writtenStatus, version)
            } catch {
                if error.reason == .notFound || !insistsOnStatus {
                    isGoneFromStore = true
                } else {
                    // A store that refuses for a while (its disk is full) is asked again.
                    await changed(until: .now + .milliseconds(200))
                }
            }
            wake()
        }
    }
}
