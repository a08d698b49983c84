import CWeft
import Glibc

/// Users and groups as an image's own `/etc/passwd` and `/etc/group` have them.
///
/// Pure, but for `init(layers:)`.
package struct ImageAccounts: Sendable, Equatable {
    package struct Identity: Sendable, Equatable {
        package var user: Int
        package var group: Int
        /// Further groups that list the user.
        package var groups: [Int] = []
        package var home = "/"
        /// Whether the user was told by a number.
        package var isNumeric = true
    }

    private struct User: Equatable {
        let name: String
        let user: Int
        let group: Int
        let home: String
    }

    private struct Group: Equatable {
        let name: String
        let group: Int
        let members: [String]
    }

    private var users: [User] = []
    private var groups: [Group] = []

    package init(passwd: String, group: String) {
        users = Self.lines(passwd).compactMap { parts in
            guard parts.count >= 4, let user = Self.number(parts[2]), let group = Self.number(parts[3]) else {
                return nil
            }
            return User(name: parts[0], user: user, group: group, home: parts.count > 5 ? parts[5] : "/")
        }
        groups = Self.lines(group).compactMap { parts in
            guard parts.count >= 3, let number = Self.number(parts[2]) else { return nil }
            let members = parts.count > 3 ? parts[3].split(separator: ",").map(String.init) : []
            return Group(name: parts[0], group: number, members: members)
        }
    }

    private static func lines(_ text: String) -> [[String]] {
        text.split(separator: "\n").prefix(65536).map {
            $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }
    }

    private static func number(_ text: String) -> Int? {
        guard let number = UInt32(text), number < UInt32.max else { return nil }
        return Int(number)
    }

    /// Who the words `user`, `uid`, `user:group` or `uid:gid` of an image mean; empty words mean root.
    ///
    /// - Throws: for a name that the image does not know.
    package func identity(_ words: String) throws(EnvironmentBuilder.Missing) -> Identity {
        let parts = words.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let wanted = parts[0].isEmpty ? "0" : parts[0]
        var identity: Identity
        if let number = Self.number(wanted) {
            identity = self.identity(number)
        } else if let user = users.first(where: { $0.name == wanted }) {
            identity = self.identity(user)
            identity.isNumeric = false
        } else {
            throw .init(message: "unable to find user \(wanted): no matching entries in the image's /etc/passwd")
        }
        guard parts.count > 1, !parts[1].isEmpty else { return identity }
        guard let group = Self.number(parts[1]) ?? groups.first(where: { $0.name == parts[1] })?.group else {
            throw .init(message: "unable to find group \(parts[1]): no matching entries in the image's /etc/group")
        }
        identity.group = group
        identity.groups = []
        return identity
    }

    /// Who a number means: the image may know it, and if not it is in group 0 alone.
    package func identity(_ number: Int) -> Identity {
        guard let user = users.first(where: { $0.user == number }) else {
            return Identity(user: number, group: 0, home: number == 0 ? "/root" : "/")
        }
        return identity(user)
    }

    private func identity(_ user: User) -> Identity {
        let others = groups.filter { $0.members.contains(user.name) && $0.group != user.group }.map(\.group)
        return Identity(
            user: user.user,
            group: user.group,
            groups: others,
            home: user.home.hasPrefix("/") ? user.home : "/"
        )
    }
}

extension ImageAccounts {
    /// Reads what an overlay of these layers, lowest first, would show.
    package init(layers: [String]) {
        self.init(passwd: Self.text("passwd", layers), group: Self.text("group", layers))
    }

    private static let limit = 1 << 20

    /// No link is followed: a layer is not trusted to say where its files are.
    private static func text(_ name: String, _ layers: [String]) -> String {
        for layer in layers.reversed() {
            let place = "\(layer)/etc"
            var facts = stat()
            guard lstat(place, &facts) == 0 else { continue }
            guard facts.st_mode & S_IFMT == S_IFDIR else { return "" }
            let fd = open("\(place)/\(name)", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard fd >= 0 else {
                // A whiteout or a link; what lies below does not show.
                if lstat("\(place)/\(name)", &facts) == 0 || cweft_is_opaque(place) == 1 { return "" }
                continue
            }
            defer { close(fd) }
            guard fstat(fd, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return "" }
            return read(fd)
        }
        return ""
    }

    private static func read(_ fd: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: limit)
        var length = 0
        while length < limit {
            let count = bytes.withUnsafeMutableBytes {
                Glibc.read(fd, $0.baseAddress?.advanced(by: length), limit - length)
            }
            guard count > 0 else { break }
            length += count
        }
        return String(decoding: bytes[..<length], as: UTF8.self)
    }
}
