import Glibc

/// The control-group hierarchies of this machine that weft may write: version 1, version 2, or both (hybrid).
package struct ControlGroups: Sendable, Equatable {
    package enum Layout: String, Sendable {
        case none = "none mounted"
        case version1 = "version 1"
        case version2 = "version 2"
        case hybrid = "hybrid (version 1 with a version 2 mount)"
    }

    package let layout: Layout
    /// Where the directory of each writable controller is: `memory` -> `/sys/fs/cgroup/memory`.
    package let controllers: [String: String]

    package static let wanted = ["memory", "pids", "cpu"]

    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    package static func find(
        _ mounts: String,
        own: String = "",
        isWritable: (String) -> Bool = { access($0, W_OK) == 0 }
    ) -> ControlGroups {
        var controllers: [String: String] = [:]
        var hasFirst = false
        var second: String?
        for line in mounts.split(separator: "\n") {
            let halves = line.split(separator: " - ", maxSplits: 1)
            guard halves.count == 2 else { continue }
            let left = halves[0].split(separator: " ")
            let right = halves[1].split(separator: " ")
            guard left.count > 4, right.count > 2 else { continue }
            let path = String(left[4])
            if right[0] == "cgroup2" { second = second ?? path }
            guard right[0] == "cgroup" else { continue }
            hasFirst = true
            for option in right[2].split(separator: ",") where wanted.contains(String(option)) && isWritable(path) {
                controllers[String(option)] = path
            }
        }
        if let place = second.flatMap({ delegated($0, own, isWritable) }) {
            for controller in offered(at: place) where wanted.contains(controller) && controllers[controller] == nil {
                controllers[controller] = place
            }
        }
        let layout: Layout =
            switch (hasFirst, second != nil) {
            case (false, false): .none
            case (true, false): .version1
            case (false, true): .version2
            case (true, true): .hybrid
            }
        return ControlGroups(layout: layout, controllers: controllers)
    }

    private static func offered(at place: String) -> [String] {
        (readFile("\(place)/cgroup.controllers", limit: 4096) ?? "").split(whereSeparator: \.isWhitespace).map(
            String.init
        )
    }

    /// The topmost directory above our own group that may be written and offers a controller: the root for root, and for an
    /// ordinary user what the service manager has handed over (`user@1000.service`).
    private static func delegated(_ root: String, _ own: String, _ isWritable: (String) -> Bool) -> String? {
        let path = own.split(separator: "\n").first { $0.hasPrefix("0::/") }?.dropFirst(4) ?? ""
        var place = root
        for part in [""] + path.split(separator: "/").map(String.init) {
            guard part != ".." else { return nil }
            if !part.isEmpty { place += "/\(part)" }
            let offered = offered(at: place)
            if isWritable(place), isWritable("\(place)/cgroup.procs"), offered.contains(where: wanted.contains) {
                return place
            }
        }
        return nil
    }

    package var description: String {
        let names = controllers.keys.sorted().joined(separator: ", ")
        return "\(layout.rawValue)\(names.isEmpty ? ", none writable" : "; writable: \(names)")"
    }
}
