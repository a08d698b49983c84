/// Names that clients ask for (SNI), in one form: lower case, no dot at the end.
package enum ServerName {
    package static func lowercased(_ bytes: [UInt8]) -> [UInt8] {
        bytes.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
    }

    /// The one form of a name; nil for what is no host name, an empty label among them.
    package static func normalized(_ bytes: [UInt8]) -> String? {
        var name = lowercased(bytes)
        if name.last == 0x2E { name.removeLast() }
        guard name.count <= 253, !name.split(separator: 0x2E, omittingEmptySubsequences: false).contains([]) else {
            return nil
        }
        let isPlain = name.allSatisfy {
            $0 >= 0x61 && $0 <= 0x7A || $0 >= 0x30 && $0 <= 0x39 || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
        }
        return isPlain ? String(decoding: name, as: UTF8.self) : nil
    }

    package static func normalized(_ text: String) -> String? { normalized(Array(text.utf8)) }
}

/// Which of several things belongs to a name: the one with that very name, else the one for `*.` and what follows the name's
/// first label, else the default, 0.
package struct ServerNameTable: Sendable {
    private var exact: [String: Int] = [:]
    private var wildcards: [String: Int] = [:]

    package init() {}

    /// Names of a certificate, in its spelling. The first that names something keeps it.
    package mutating func add(_ names: [String], place: Int) {
        for name in names {
            if name.hasPrefix("*.") {
                guard let rest = ServerName.normalized(String(name.dropFirst(2))), wildcards[rest] == nil else {
                    continue
                }
                wildcards[rest] = place
            } else if let plain = ServerName.normalized(name), exact[plain] == nil {
                exact[plain] = place
            }
        }
    }

    package func place(of name: [UInt8]) -> Int {
        guard let plain = ServerName.normalized(name) else { return 0 }
        if let place = exact[plain] { return place }
        guard let dot = plain.firstIndex(of: ".") else { return 0 }
        return wildcards[String(plain[plain.index(after: dot)...])] ?? 0
    }
}
