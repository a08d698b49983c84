import Mesh

/// What one stream knows of one type: what the client asked for, what it was sent, and what is owed.
struct DiscoverySubscription: Sendable {
    /// Told to be absent.
    static let absent: UInt64 = 0
    /// Held by the client in a version that is not ours.
    static let unknown: UInt64 = 1

    /// Names that were asked for one by one.
    var names: Set<String> = []
    var isWildcard = false
    /// The first request has come.
    var hasBegun = false
    var hasNamed = false

    /// Of the newest response.
    var nonce = ""
    /// The newest response waits for its answer.
    var isInFlight = false
    /// The revision of the table with which the newest response makes the client equal; nil: more is to come.
    var covers: UInt64?
    /// The revision of the table that the client has answered in full; nil: none, or it has asked for more since.
    var answered: UInt64?
    /// Names of the newest response.
    var lastNames: [String] = []
    /// Digests of what the client was sent, by name.
    private(set) var sent: [String: UInt64] = [:]
    /// The digest of that set.
    private(set) var digest: UInt64 = 0
    /// What the client said it holds as it came, of a type that is sent whole.
    var held: UInt64?

    /// An answer is owed even when nothing changed.
    var owesAnswer = false
    /// Names to look at.
    var pending: Set<String> = []
    /// All names have to be looked at.
    var looksAtAll = true
    /// The revision of the table up to which `pending` knows the changes.
    var seen: UInt64 = 0
    /// To be sent again even when unchanged.
    var forced: Set<String> = []
    /// Versions that the client does not want: they are not sent again.
    var refused: [String: UInt64] = [:]
    /// Parts of a response that was refused as a whole, to be sent one after the other.
    var parts: [[String]] = []
    /// Clusters that are gone, but that routes of the client may still name.
    var lingering: [String: DiscoveryResource] = [:]

    /// Why resources were refused that are in `refused`.
    var reasons: [String: String] = [:]
    /// What the client thinks of the newest versions.
    var report = DiscoveryReport()

    func covers(_ name: String) -> Bool { isWildcard || names.contains(name) }

    mutating func setSent(_ name: String, _ digest: UInt64?) {
        let old = digest.map { sent.updateValue($0, forKey: name) } ?? sent.removeValue(forKey: name)
        if let old, old > Self.unknown { self.digest &-= DiscoveryDigest.part(name, old) }
        if let digest, digest > Self.unknown { self.digest &+= DiscoveryDigest.part(name, digest) }
    }

    /// The client has asked for more: what it answered is not all it wants.
    mutating func grows() {
        covers = nil
        answered = nil
    }

    /// Everything that the client asked for has come and was accepted.
    var isSettled: Bool {
        !hasBegun || (!isInFlight && pending.isEmpty && parts.isEmpty && refused.isEmpty && report.error.isEmpty)
    }
}

/// How a client stands with one type.
package struct DiscoveryReport: Sendable, Equatable {
    /// The version that was sent last.
    package var sent = ""
    /// The version that the client accepted last.
    package var accepted = ""
    /// Why it refused the newest one; empty when it did not.
    package var error = ""
    /// The names in the response that was refused.
    package var refusedNames: [String] = []
    package var acceptances = 0
    package var refusals = 0
    /// Names that are asked for; nil: all there are.
    package var subscribed: Int?

    package init() {}
}
