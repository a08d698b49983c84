package import Resources
package import Sandbox

/// Makes sure that no new connection goes to a pod that is about to end.
package protocol TrafficGate: Sendable {
    /// Returns when every proxy has taken the pod out of its endpoints. The agent waits for it before SIGTERM, at most
    /// `AgentSettings.trafficPatience`.
    func podLeavesTraffic(uid: String) async
}

/// Gives and takes the sockets on which pods ask for names.
package protocol PodDNS: Sendable {
    /// Whether this pod's sockets are with the receiver already, from before this process: nothing is to be made.
    func isServing(uid: String, initPID: Int32) async -> Bool
    /// A pod has two sockets bound to its name server's address, in its own network; the TCP one listens. The receiver
    /// owns them from now on, and lets go of them when the pod's init ends.
    func podStarted(uid: String, initPID: Int32, udp: Int32, tcp: Int32) async
    /// The pod is gone: the receiver closes its sockets.
    func podStopped(uid: String) async
}

/// Tells people what happened to a pod. Never fails and never waits.
package protocol PodEventSink: Sendable {
    func record(_ pod: Object, isWarning: Bool, reason: String, message: String)
}

/// A pod's place in the machine, for whoever configures the proxy.
package struct PodPlace: Sendable, Equatable {
    package let uid: String
    package let namespace: String
    package let name: String
    package let address: String
    package let initPID: Int32
    /// For a process that may enter the namespace.
    package let networkNamespacePath: String
    /// For one that may not.
    package let brokerPath: String
    /// Without isolation: where its programs listen on the machine's network.
    package let sockets: PodSockets?
}

extension PodPlace {
    init(_ sandbox: PodSandbox, _ plain: PlainPod?) {
        uid = sandbox.spec.uid
        namespace = sandbox.spec.namespace
        name = sandbox.spec.name
        address = sandbox.spec.address
        initPID = sandbox.process.pid
        networkNamespacePath = sandbox.networkNamespacePath
        brokerPath = sandbox.brokerPath
        sockets = plain?.sockets
    }
}

/// Hears where pods are.
package protocol PodPlaceListener: Sendable {
    /// The pod's network exists; its containers start after this returns.
    func podPlaced(_ place: PodPlace) async
    /// The pod's network is gone.
    func podGone(uid: String) async
}

/// What an agent must know about its surroundings.
package struct AgentSettings: Sendable {
    package var isolation = Isolation.namespaces
    /// Without isolation: the addresses of pods and Services.
    package var loopback = LoopbackNetwork(block: 10)
    /// Services as programs reach them: what `WEB_SERVICE_HOST` and its kin are made from.
    package var viewOfService: @Sendable (Object) -> Object = { $0 }
    /// The agent acts on pods whose `spec.nodeName` is this.
    package var nodeName = "weft"
    package var hostAddress = "127.0.0.1"
    package var stateDirectory: String
    package var dnsAddress = "10.96.0.10"
    package var proxyPort = 15001
    package var clusterDomain = "cluster.local"
    /// What `PATH` is in a container that sets none: its programs come from this machine.
    package var path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    /// How long a pod's end waits for the proxies to let go of it.
    package var trafficPatience: Duration = .seconds(5)
    /// OCI runtimes, in the order in which they are tried.
    package var runtimes = RuntimeSearch.order

    package init(stateDirectory: String) { self.stateDirectory = stateDirectory }
}

/// Everything that a pod's life needs from outside.
package struct AgentPorts: Sendable {
    package var gate: (any TrafficGate)?
    package var dns: (any PodDNS)?
    package var places: (any PodPlaceListener)?
    package var events: (any PodEventSink)?
    /// Images made of layers; nil: only `Image` objects say what a name means.
    package var images: (any ContainerImages)?
    package var runtimes: (any RuntimeListener)?

    package init(
        gate: (any TrafficGate)? = nil,
        dns: (any PodDNS)? = nil,
        places: (any PodPlaceListener)? = nil,
        events: (any PodEventSink)? = nil,
        images: (any ContainerImages)? = nil,
        runtimes: (any RuntimeListener)? = nil
    ) {
        self.gate = gate
        self.dns = dns
        self.places = places
        self.events = events
        self.images = images
        self.runtimes = runtimes
    }
}
