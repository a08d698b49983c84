import Bytes
import EnvoyAPI
import TLS

/// The TLS of a filter chain or a cluster. What a reload of its files makes is for the next handshakes; connections keep theirs.
final class TLSHolder: Sendable {
    let source: TLSSource
    private let state: Lock<State>

    struct State {
        /// nil: the files of secrets did not come yet.
        var context: TLSContext?
        /// Of what the context was made of.
        var hash: Int?
        /// Why the newest contents of the files were refused; nil when they are in force.
        var error: String?
        var rejections = 0
        var reloads = 0
    }

    init(_ source: TLSSource, context: TLSContext?, hash: Int? = nil, error: String? = nil) {
        self.source = source
        state = Lock(State(context: context, hash: hash, error: error))
    }

    /// Whether clients have to show the same for both: certificates asked for, trust and names.
    func isAsStrict(as other: TLSHolder?) -> Bool {
        guard let other else { return false }
        return source.requiresPeer == other.source.requiresPeer
            && source.common.validationContextType == other.source.common.validationContextType
    }

    /// The context for a new connection.
    var context: TLSContext? { state.withLock { $0.context } }
    var report: State { state.withLock { $0 } }

    enum Reloading { case unchanged, loaded, refused(String) }

    /// Takes over what the files say now, or keeps what is in force and says why.
    func reload(_ book: SecretBook) -> Reloading {
        guard !source.isWaiting(book) else { return .unchanged }
        // What is in force stays where nothing is new: sessions that may be resumed are kept with it.
        switch source.load(book, unless: report.hash) {
        case .success(nil):
            state.withLock { $0.error = nil }
            return .unchanged
        case .success(let made?):
            state.withLock {
                $0.context = made.context
                $0.hash = made.hash
                $0.error = nil
                $0.reloads += 1
            }
            return .loaded
        case .failure(let error):
            state.withLock {
                $0.error = error.description
                $0.rejections += 1
            }
            return .refused(error.description)
        }
    }
}

/// Secrets that control planes gave. Belongs to the main thread.
final class SecretBook {
    private var secrets: [ResourceKey: Envoy.Secret] = [:]

    subscript(key: ResourceKey) -> Envoy.Secret? {
        get { secrets[key] }
        set { secrets[key] = newValue }
    }

    var keys: some Collection<ResourceKey> { secrets.keys }
}

/// All TLS of the configuration, by the files that it comes from. Belongs to the main thread.
final class TLSBook {
    let secrets = SecretBook()
    private struct Entry { weak var holder: TLSHolder? }
    private var entries: [Entry] = []
    /// Grows when files may have come or gone.
    private(set) var version = 0

    func add(_ holder: TLSHolder) {
        entries.append(Entry(holder: holder))
        version += 1
    }

    /// Secrets that came may name other files.
    func filesMayHaveChanged() { version += 1 }

    /// Those that are in use.
    var holders: [TLSHolder] { entries.compactMap(\.holder) }

    /// Forgets those that no configuration has any more.
    func prune() {
        let count = entries.count
        entries.removeAll { $0.holder == nil }
        if entries.count != count { version += 1 }
    }

    /// The files with the directories whose changes tell of them.
    var files: [(path: String, directory: String)] { holders.flatMap { $0.source.files(secrets) } }

    /// Loads again whatever uses one of these files; calls back with what came of it.
    func filesChanged(_ paths: Set<String>, _ report: (_ holder: TLSHolder, _ result: TLSHolder.Reloading) -> Void) {
        for holder in holders where holder.source.files(secrets).contains(where: { paths.contains($0.path) }) {
            report(holder, holder.reload(secrets))
        }
    }
}
