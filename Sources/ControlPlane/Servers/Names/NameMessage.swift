/// What the daemon and the server of names say to one another over a `DescriptorChannel`.
enum NameMessage: Equatable {
    /// From the daemon.
    case hello
    /// The server's answer, with its process.
    case welcome(pid: Int32)
    /// With a descriptor of a pod. The process comes first, the datagram socket last: with it the pod is served. From the
    /// server the same, as an answer to `list`.
    case pod(id: String, Piece)
    /// The pod's sockets are to be closed.
    case remove(id: String)
    /// With a file in memory that holds a `DNSTable`.
    case table
    /// All pods that are served are wanted, and then `end`.
    case list
    /// The proxy ends for good: its listening sockets are not kept any more.
    case release
    /// No more pods; to the server: close everything and end.
    case end

    enum Piece: Equatable {
        /// A pidfd of the pod's init: the pod's sockets are closed when it ends.
        case process(Int32)
        case tcp, udp
    }

    static let version: UInt8 = 1
    /// A pod's uid is 36 bytes long; what is longer is none of ours.
    private static let longestID = 128

    var bytes: [UInt8] {
        switch self {
        case .hello: [1, Self.version]
        case .welcome(let pid): [2, Self.version] + Self.number(pid)
        case .pod(let id, .process(let pid)): [3] + Self.number(pid) + id.utf8
        case .pod(let id, .tcp): [4] + id.utf8
        case .pod(let id, .udp): [5] + id.utf8
        case .remove(let id): [6] + id.utf8
        case .table: [7]
        case .list: [8]
        case .end: [9]
        case .release: [10]
        }
    }

    /// Nil for anything that is no message of this version.
    init?(_ bytes: [UInt8]) {
        let rest = bytes.dropFirst()
        switch bytes.first {
        case 1 where rest.elementsEqual([Self.version]): self = .hello
        case 2:
            guard rest.count == 5, bytes[1] == Self.version else { return nil }
            self = .welcome(pid: Self.number(rest.dropFirst()))
        case 3:
            guard rest.count > 4, let id = Self.id(rest.dropFirst(4)) else { return nil }
            self = .pod(id: id, .process(Self.number(rest.prefix(4))))
        case 4, 5, 6:
            guard let id = Self.id(rest) else { return nil }
            self = bytes[0] == 4 ? .pod(id: id, .tcp) : bytes[0] == 5 ? .pod(id: id, .udp) : .remove(id: id)
        case 7 where rest.isEmpty: self = .table
        case 8 where rest.isEmpty: self = .list
        case 9 where rest.isEmpty: self = .end
        case 10 where rest.isEmpty: self = .release
        default: return nil
        }
    }

    private static func id(_ bytes: ArraySlice<UInt8>) -> String? {
        guard !bytes.isEmpty, bytes.count <= longestID else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func number(_ value: Int32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int32 {
        Int32(truncatingIfNeeded: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
