import Bytes

/// How a hash leads to an endpoint.
package struct HashSettings: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// Points of every endpoint on a ring (Ketama): at least `minimum` points together, at most `maximum`.
        case ring(minimum: UInt64, maximum: UInt64, function: HashFunction)
        /// A table of a prime number of places.
        case maglev(size: UInt64)
    }
    package var kind: Kind
    /// No endpoint gets more than this many percent of the mean of requests in flight; 0 = no bound.
    package var balanceFactor: UInt32 = 0

    package init(kind: Kind, balanceFactor: UInt32 = 0) {
        self.kind = kind
        self.balanceFactor = balanceFactor
    }

    /// Places of a table or ring at most: what Envoy allows.
    package static let ringLimit: UInt64 = 8_388_608
    package static let tableLimit: UInt64 = 5_000_011

    /// Whether a number may be the size of a Maglev table.
    package static func isPrime(_ number: UInt64) -> Bool {
        guard number > 3 else { return number > 1 }
        guard number % 2 != 0, number % 3 != 0 else { return false }
        var factor: UInt64 = 5
        while factor * factor <= number {
            if number % factor == 0 || number % (factor + 2) == 0 { return false }
            factor += 6
        }
        return true
    }
}

/// An endpoint in a table: its place in the configuration, and its share of all weights.
struct HashMember: Equatable, BitwiseCopyable {
    var position: Int32
    var weight: Double
}

/// The same placement of hashes as Envoy's for the same endpoints. Immutable; shared by all workers.
///
/// Safety: the memory is filled in `init`, then only read, and freed with the last owner. A `View` is valid as long as its
/// table is held.
final class HashTable: @unchecked Sendable {
    /// What a choice reads: plain values.
    struct View: BitwiseCopyable, @unchecked Sendable {
        /// Points of the ring in order; nil for Maglev.
        let hashes: UnsafeMutablePointer<UInt64>?
        /// For each point or place the number of its member.
        let entries: UnsafeMutablePointer<UInt32>
        let count: Int
        let members: UnsafeMutablePointer<HashMember>
        let memberCount: Int
    }

    let view: View
    /// Most and fewest points or places of one endpoint.
    let most: Int
    let fewest: Int

    deinit {
        view.hashes?.deallocate()
        view.entries.deallocate()
        view.members.deallocate()
    }

    /// `keys` are looked up by a member's position.
    init(_ members: [HashMember], keys: [String], kind: HashSettings.Kind) {
        let copies = UnsafeMutablePointer<HashMember>.allocate(capacity: max(1, members.count))
        for (index, member) in members.enumerated() { (copies + index).initialize(to: member) }
        let made: (hashes: [UInt64], entries: [UInt32])
        switch kind {
        case .ring(let minimum, let maximum, let function):
            made = Self.ring(members, keys, minimum: minimum, maximum: maximum, function: function)
        case .maglev(let size):
            made = ([], Self.maglev(members, keys, size: Int(clamping: max(2, size))))
        }
        let entries = UnsafeMutablePointer<UInt32>.allocate(capacity: max(1, made.entries.count))
        var counts = [Int](repeating: 0, count: members.count)
        for (index, entry) in made.entries.enumerated() {
            (entries + index).initialize(to: entry)
            counts[Int(entry)] += 1
        }
        var hashes: UnsafeMutablePointer<UInt64>?
        if !made.hashes.isEmpty {
            let place = UnsafeMutablePointer<UInt64>.allocate(capacity: made.hashes.count)
            for (index, hash) in made.hashes.enumerated() { (place + index).initialize(to: hash) }
            hashes = place
        }
        most = counts.max() ?? 0
        fewest = counts.min() ?? 0
        view = View(
            hashes: hashes,
            entries: entries,
            count: made.entries.count,
            members: copies,
            memberCount: members.count
        )
    }

    /// Every endpoint gets points in proportion to its weight, the lightest a whole number of them: the hashes of its key
    /// with `_0`, `_1` ... behind it.
    private static func ring(
        _ members: [HashMember],
        _ keys: [String],
        minimum: UInt64,
        maximum: UInt64,
        function: HashFunction
    ) -> ([UInt64], [UInt32]) {
        guard let lightest = members.map(\.weight).min(), lightest > 0 else { return ([], []) }
        let scale = min((lightest * Double(minimum)).rounded(.up) / lightest, Double(maximum))
        var points: [(hash: UInt64, member: UInt32)] = []
        points.reserveCapacity(Int(min(scale.rounded(.up), Double(HashSettings.ringLimit))))
        var target = 0.0
        var bytes: [UInt8] = []
        for (index, member) in members.enumerated() {
            bytes.removeAll(keepingCapacity: true)
            bytes.append(contentsOf: keys[Int(member.position)].utf8)
            bytes.append(0x5F)
            let stem = bytes.count
            target += scale * member.weight
            var number = 0
            while Double(points.count) < target {
                bytes.append(contentsOf: String(number).utf8)
                points.append((bytes.withUnsafeBytes { function.hash($0) }, UInt32(index)))
                bytes.removeSubrange(stem...)
                number += 1
            }
        }
        points.sort { $0.hash == $1.hash ? $0.member < $1.member : $0.hash < $1.hash }
        return (points.map(\.hash), points.map(\.member))
    }

    /// Endpoints take turns, in the order of their keys, in taking the next free place of their own permutation; an
    /// endpoint of less than the greatest weight sits turns out.
    private static func maglev(_ members: [HashMember], _ keys: [String], size: Int) -> [UInt32] {
        struct Entry {
            var member: UInt32
            var place: Int
            var skip: Int
            var weight: Double
            var target = 0.0
        }
        guard !members.isEmpty, let heaviest = members.map(\.weight).max(), heaviest > 0 else { return [] }
        let order = members.indices.sorted { left, right in
            let (first, second) = (keys[Int(members[left].position)], keys[Int(members[right].position)])
            return first == second ? left < right : first.utf8.lexicographicallyPrecedes(second.utf8)
        }
        var entries = order.map { index -> Entry in
            var key = keys[Int(members[index].position)]
            return key.withUTF8 { utf8 in
                let bytes = UnsafeRawBufferPointer(utf8)
                return Entry(
                    member: UInt32(index),
                    place: Int(hash64(bytes) % UInt64(size)),
                    skip: Int(hash64(bytes, seed: 1) % UInt64(size - 1)) + 1,
                    weight: members[index].weight
                )
            }
        }
        var table = [UInt32](repeating: .max, count: size)
        var taken = 0
        var turn = 1.0
        while taken < size {
            for index in entries.indices where taken < size {
                if turn * entries[index].weight < entries[index].target { continue }
                entries[index].target += heaviest
                var place = entries[index].place
                while table[place] != .max {
                    place += entries[index].skip
                    if place >= size { place -= size }
                }
                table[place] = entries[index].member
                place += entries[index].skip
                entries[index].place = place >= size ? place - size : place
                taken += 1
            }
            turn += 1
        }
        return table
    }
}

extension HashTable.View {
    /// The number of the member that a hash leads to; further attempts lead to others, not always to different ones.
    func member(_ hash: UInt64, attempt: Int = 0) -> Int {
        guard count > 0 else { return -1 }
        guard let hashes else {
            let mixed = attempt == 0 ? hash : hash ^ (0 &- UInt64(attempt))
            return Int(entries[Int(mixed % UInt64(count))])
        }
        // The first point that is not before the hash; behind the last one the ring begins anew.
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if hashes[middle] < hash { low = middle + 1 } else { high = middle }
        }
        return Int(entries[(low + attempt) % count])
    }
}

/// The tables of a cluster's endpoints: each is built by the first worker that needs it, and used by all.
package final class HashTables: Sendable {
    package let settings: HashSettings
    /// What is hashed of each endpoint, in the order of the configuration.
    let keys: [String]
    private let known: Lock<[Known]>

    private struct Known {
        var members: [HashMember]
        var table: HashTable
    }

    /// Tables that are kept: priorities, and what health makes of them.
    private static let limit = 8

    package init(settings: HashSettings, keys: [String]) {
        self.settings = settings
        self.keys = keys
        known = Lock([])
    }

    /// How many tables are kept.
    package var built: Int { known.withLock { $0.count } }

    func table(_ members: [HashMember]) -> HashTable {
        known.withLock { known in
            if let place = known.firstIndex(where: { $0.members == members }) {
                let entry = known.remove(at: place)
                known.append(entry)
                return entry.table
            }
            let table = HashTable(members, keys: keys, kind: settings.kind)
            if known.count >= Self.limit { known.removeFirst() }
            known.append(Known(members: members, table: table))
            return table
        }
    }
}
