/// Requests of a virtual host that are counted together.
public struct VirtualCluster: BitwiseCopyable, Sendable {
    public var headers: ArenaArray<HeaderMatch>
    /// Where they are counted: a number of the configuration's.
    public var numbers: Int32

    public init(headers: ArenaArray<HeaderMatch>, numbers: Int32) {
        self.headers = headers
        self.numbers = numbers
    }
}

extension VirtualHost {
    /// Where a request is counted; -1: nowhere.
    package func virtualCluster(for request: RequestView) -> Int32 {
        for index in 0..<virtualClusters.count {
            let cluster = virtualClusters[index]
            let isMet = (0..<cluster.headers.count).allSatisfy { cluster.headers[$0].matches(request) }
            if isMet { return cluster.numbers }
        }
        return -1
    }
}
