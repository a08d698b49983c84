/// Where a pod without isolation is reached: its programs choose a port of their own on the machine's network, and this says
/// which stands for a declared one.
///
/// A program that keeps to `$PORT` listens there; one that does not listens on the port that its manifest declares.
package struct PodSockets: Sendable, Equatable {
    package struct Place: Sendable, Equatable {
        package var address: String
        package var port: Int

        package init(address: String, port: Int) {
            self.address = address
            self.port = port
        }
    }

    /// The pod's own loopback address.
    package var address: String
    /// The port given to the pod (`$PORT`, `$PORT_8080`) for each declared one.
    package var given: [Int: Int]
    /// `$PORT` of a pod that declares no port: stands for whichever is asked for.
    package var spare: Int?
    /// Where the pod's processes listen, as the kernel has it.
    package var listeners: [Place] = []

    package init(address: String, given: [Int: Int] = [:], spare: Int? = nil, listeners: [Place] = []) {
        self.address = address
        self.given = given
        self.spare = spare
        self.listeners = listeners
    }

    /// The place that stands for a port of the pod; nil while nothing of the pod listens there.
    package func place(of port: Int) -> Place? {
        let wanted = [given[port] ?? (given.isEmpty ? spare : nil), port]
        for number in wanted.compactMap({ $0 }) {
            let found = listeners.filter { $0.port == number && !$0.address.contains(":") }
            guard let first = found.first(where: { $0.address == address }) ?? found.first else { continue }
            return Place(address: first.address == "0.0.0.0" ? address : first.address, port: number)
        }
        return nil
    }

    /// Whether every declared port has its place, and without any at least one process listens.
    package var isComplete: Bool {
        given.isEmpty ? !listeners.isEmpty : given.keys.allSatisfy { place(of: $0) != nil }
    }
}
