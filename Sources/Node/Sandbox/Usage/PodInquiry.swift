import CWeft
import Glibc

/// Asks a pod init what runs, without the pod's `PodSandbox`.
enum PodInquiry {
    private static let patience: Duration = .seconds(2)

    struct Answer: Sendable {
        /// The pod init, in the machine's numbering.
        let process: Int32
        let containers: [ContainerRun]
    }

    /// Nil when the pod cannot be reached or does not answer in time.
    static func ask(directory: String) async -> Answer? {
        let control = cweft_pod_connect("\(directory)/control.sock", Int32(SOCK_STREAM.rawValue))
        guard control >= 0 else { return nil }
        defer { close(control) }
        let process = cweft_peer_process(control)
        var row = Row()
        row.add("do", "status")
        row.add("token", "usage")
        let frame = row.framed
        guard process > 0, send(control, frame, frame.count, Int32(MSG_NOSIGNAL)) == frame.count else { return nil }
        let deadline = ContinuousClock.now + patience
        var reader = RowReader()
        var bytes = [UInt8](repeating: 0, count: 16384)
        while await Poller.shared.wait(control, .readable, until: deadline) == .ready {
            let count = recv(control, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { return nil }
            reader.append(bytes[..<count])
            while let row = try? reader.next() {
                guard row["reply"] == "usage" else { continue }
                let runs = row.filter { $0.key == "container" }.compactMap { ContainerRun($0.value) }
                return Answer(process: process, containers: runs)
            }
        }
        return nil
    }
}
