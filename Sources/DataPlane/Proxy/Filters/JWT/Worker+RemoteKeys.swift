import Bytes
import HTTP
import Reactor
import Tokens
import Traffic

/// Keys that a worker fetched, or waits for.
final class RemoteKeys {
    var keys: KeySet?
    var fetchedAt: UInt64 = 0
    /// 0: the last fetch went well.
    var failedAt: UInt64 = 0
    var isFetching = false
    var waiting: [(index: Int32, generation: UInt32)] = []
}

/// Fetches the keys of `remote_jwks`.
extension Worker {
    /// The keys of a provider as far as they are there; who waited for a fetch takes what it gave, however short it holds.
    func keys(_ source: KeySource, waited: Bool) -> ProviderKeys {
        switch source {
        case .here(let set): return .ready(set)
        case .none: return .failed(.noValidKey)
        case .remote(let source):
            guard let entry = remoteKeys[source] else { return .absent }
            let hasFailed = entry.failedAt > 0 && now < entry.failedAt &+ source.pause
            if let keys = entry.keys {
                let isFresh = now < entry.fetchedAt &+ source.lifetime
                if isFresh || source.isEager || (waited && entry.failedAt == 0 && !entry.isFetching) {
                    return .ready(keys)
                }
            }
            return hasFailed && !entry.isFetching ? .failed(.keysNotFetched) : .absent
        }
    }

    /// Has a request wait for keys, which are fetched if nobody does so yet. False: they cannot be had.
    func awaitKeys(_ source: RemoteKeySource, _ index: Int32, _ exchange: ExchangePlace) -> Bool {
        guard remoteKeys[source]?.isFetching ?? false || fetchKeys(source) else { return false }
        remoteKeys[source]?.waiting.append((index, exchange.pointee.generation))
        return true
    }

    /// Begins a fetch. False: it could not be begun.
    @discardableResult
    private func fetchKeys(_ source: RemoteKeySource) -> Bool {
        let entry = remoteKeys[source] ?? RemoteKeys()
        remoteKeys[source] = entry
        var (authority, path) = (source.authority, source.path)
        var request = authority.withUTF8 { authority in
            path.withUTF8 { path in
                CallRequest(
                    .get,
                    Self.run("GET"),
                    path: ByteRun(UnsafeRawBufferPointer(path)),
                    authority: ByteRun(UnsafeRawBufferPointer(authority))
                )
            }
        }
        request.add("accept", "application/json")
        request.timeout = source.timeout
        request.answerLimit = TokenLimits.keySet
        let number = current.pointee.snapshot.clusterIndex(named: source.cluster).map { Int($0) }
        let cluster = number.flatMap { clusters.indices.contains($0) ? clusters[$0] : nil }
        var failure: StaticString = ""
        entry.isFetching = true
        guard sideCall(request, to: cluster, .keys(source), failure: &failure) != nil else {
            entry.isFetching = false
            entry.failedAt = now
            countFilter(source.failed)
            return false
        }
        return true
    }

    /// The answer to a fetch.
    func keysArrived(_ source: RemoteKeySource, _ answer: CallAnswer) {
        guard let entry = remoteKeys[source] else { return }
        entry.isFetching = false
        let fetched = answer.failure == nil && answer.status == 200 ? try? KeySet(json: answer.body) : nil
        if let fetched {
            entry.keys = fetched
            entry.fetchedAt = now
            entry.failedAt = 0
            countFilter(source.succeeded)
        } else {
            entry.failedAt = now
            countFilter(source.failed)
        }
        if source.isEager { refreshKeys() }
        let waiting = entry.waiting
        entry.waiting = []
        for (index, generation) in waiting {
            if let exchange = exchanges.find(index, generation: generation) { resumeFilters(index, exchange) }
        }
    }

    /// A new configuration: what it names no more is forgotten, what it wants beforehand is fetched.
    func settleKeys(_ snapshot: Snapshot) {
        let sources = Self.keySources(snapshot)
        guard !sources.isEmpty || !remoteKeys.isEmpty else { return }
        remoteKeys = remoteKeys.filter { sources.contains($0.key) || $0.value.isFetching }
        eagerKeys = sources.filter(\.isEager)
        refreshKeys()
    }

    /// Fetches what has to be there before it is wanted, as soon as it is due.
    func refreshKeys() {
        var next = UInt64.max
        for source in eagerKeys {
            var due = now
            if let entry = remoteKeys[source] {
                guard !entry.isFetching else { continue }
                if entry.keys != nil { due = entry.fetchedAt &+ source.lifetime }
                if entry.failedAt > 0 { due = max(due, entry.failedAt &+ source.pause) }
            }
            if due <= now { due = fetchKeys(source) ? .max : now &+ max(1_000_000, source.pause) }
            next = min(next, due)
        }
        guard next != .max else { return }
        loop.timers.set(keysTimer, Instant(nanoseconds: next))
    }

    /// All sources of keys that a configuration names.
    private static func keySources(_ snapshot: Snapshot) -> Set<RemoteKeySource> {
        var found: Set<RemoteKeySource> = []
        for case let listener? in snapshot.listeners {
            for chain in listener.chains + (listener.defaultChain.map { [$0] } ?? []) {
                guard case .http(let http) = chain.filter, let filters = http.settings.filters else { continue }
                for case .tokens(let settings) in filters.steps.map(\.kind) {
                    for case .remote(let source) in settings.takeUnretainedValue().sources { found.insert(source) }
                }
            }
        }
        return found
    }
}
