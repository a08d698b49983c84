import Bytes
import Dispatch
import Glibc
package import Resources
import Wire

/// The embedded store: every object in memory for reading, every write in one SQLite file before it is answered.
///
/// Safe from any task. Reads take a short lock and never wait for the disk. Writes queue up for one writer, which decides
/// all that wait, commits them in one transaction (one `fsync` for many) and only then shows them to readers and watchers.
package final class SQLiteStore: ObjectStore {
    /// How much is remembered and accepted.
    package struct Limits: Sendable {
        /// Events for watchers that come back: beyond, they must list again.
        package var events = 4096
        /// Writes that may wait for the writer: beyond, they are refused with 429.
        package var waitingWrites = 8192
        /// Size of the file: beyond, writes are refused with 507.
        package var fileBytes = 2 << 30
        /// Writes that share one transaction.
        package var batch = 256

        package init() {}
    }

    private struct Waiting {
        let intent: WriteIntent
        let isDryRun: Bool
        let tracking: FieldTracking?
        let requester: WriteRequester?
        let continuation: CheckedContinuation<Result<WriteOutcome, APIError>, Never>
    }

    private struct WriteQueue {
        var waiting: [Waiting] = []
        var isRunning = false
        var isClosed = false
    }

    /// Safety: the database is used on `writer` alone, after `init`; the box itself never changes.
    private struct Confined: @unchecked Sendable {
        let database: SQLiteDatabase
    }

    private let state: Lock<StoreState>
    /// Watchers whose readers are gone, to be forgotten by the next write or watch. Apart from `state` on purpose: a reader
    /// that is cancelled says so while its task is locked, and a write that has `state` wakes readers, which locks their tasks.
    private let gone = Lock<[Int]>([])
    private let queue = Lock(WriteQueue())
    private let writer = DispatchQueue(label: "weft.store.writer")
    private let confined: Confined
    private let limits: Limits
    private let admissions: [any Admission]
    private let clock: @Sendable () -> Timestamp

    /// Opens or makes the store in a file (`:memory:` for none) and makes the namespaces that always exist.
    ///
    /// - Throws: `APIError` that says what is wrong with the file and what to do.
    package static func open(
        path: String,
        admissions: [any Admission] = StandardAdmissions.all,
        limits: Limits = Limits(),
        clock: @escaping @Sendable () -> Timestamp = { SQLiteStore.now() }
    ) async throws(APIError) -> SQLiteStore {
        let store = try SQLiteStore(path: path, admissions: admissions, limits: limits, clock: clock)
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let namespace = Object(ResourceTypes.namespaces, name: name)
            if try await store.find(ObjectKey(ResourceTypes.namespaces, name: name)) == nil {
                try await store.create(namespace)
            }
        }
        return store
    }

    private init(
        path: String,
        admissions: [any Admission],
        limits: Limits,
        clock: @escaping @Sendable () -> Timestamp
    ) throws(APIError) {
        let database = try SQLiteDatabase(path: path, maximumBytes: limits.fileBytes)
        let (objects, types) = try Self.objects(of: database)
        state = Lock(
            StoreState(objects: objects, types: types, revision: try database.revision(), ringCapacity: limits.events)
        )
        confined = Confined(database: database)
        self.limits = limits
        self.admissions = admissions
        self.clock = clock
    }

    /// Every object of the file, and the kinds that its definitions make.
    private static func objects(
        of database: SQLiteDatabase
    ) throws(APIError) -> (objects: [(ObjectKey, Object)], types: ServedTypes) {
        var objects: [(ObjectKey, Object)] = []
        var types = ServedTypes()
        let rows = try rows(of: database)
        // Definitions first: they say what the others are.
        let isDefinition = { (row: SQLiteDatabase.Row) in
            row.kind == ResourceTypes.definitions.kind && row.apiVersion == ResourceTypes.definitions.apiVersion
        }
        for row in rows.filter(isDefinition) + rows.filter({ !isDefinition($0) }) {
            let found =
                ResourceTypes.find(apiVersion: row.apiVersion, kind: row.kind)
                ?? types.storage(group: row.apiVersion, kind: row.kind)
            guard let type = found else { continue }
            let key = ObjectKey(type, namespace: row.namespace, name: row.name)
            do {
                let object = Object(try JSON.parse(row.json), json: row.json)
                objects.append((key, type.custom?.renewed(object) ?? object))
                if type == ResourceTypes.definitions, DefinitionStatus.isTrue("Established", object) {
                    types.set(
                        object.name,
                        Definition.kind(of: object, rules: SchemaRules.compile),
                        isTerminating: object.isDeleting
                    )
                }
            } catch {
                database.abandon()
                throw database.damage("\(key): \(error)")
            }
        }
        return (objects, types)
    }

    /// A file that cannot be read stays as it is, with its log.
    private static func rows(of database: SQLiteDatabase) throws(APIError) -> [SQLiteDatabase.Row] {
        do { return try database.rows() } catch {
            database.abandon()
            throw error
        }
    }

    /// The machine's time.
    package static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }

    /// Finishes the writes that wait, ends every watch and closes the file. Later calls fail with 503.
    package func shutdown() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            queue.withLock { $0.isClosed = true }
            writer.async { [self] in
                drain()
                let isFirst = state.withLock { state in
                    defer { state.isClosed = true }
                    return !state.isClosed
                }
                if isFirst { confined.database.close() }
                endWatches()
                continuation.resume()
            }
        }
    }

    /// Runs `work` on the writer, between two batches. What it is given throws 503 once the store is closed.
    func onWriter(_ work: @escaping @Sendable (() throws(APIError) -> SQLiteDatabase) -> Void) {
        writer.async { [self] in
            work { () throws(APIError) in
                if state.withLock({ $0.isClosed }) { throw Self.closed }
                return confined.database
            }
        }
    }

    private func endWatches() {
        let watchers = state.withLock { state in
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.continuation.finish() }
    }
}

// Reading.
extension SQLiteStore {
    package func get(_ key: ObjectKey) async throws(APIError) -> Object {
        guard let object = state.withLock({ $0.get(key) }) else { throw .notFound(key.type, key.name) }
        return object
    }

    package func currentRevision() async -> Revision { state.withLock { $0.revision } }

    package var types: ServedTypes { state.withLock { $0.types } }

    package func list(
        _ type: ResourceType,
        namespace: String?,
        _ options: ListOptions
    ) async throws(APIError) -> ObjectList {
        let after = try ListContinuation.read(options)
        let base = state.withLock { $0.base(of: type, after, options) }
        return try StoreState.page(base, after: after, namespace: namespace, options)
    }

    package func watch(
        _ type: ResourceType,
        namespace: String?,
        _ options: WatchOptions
    ) async throws(APIError) -> WatchEvents {
        let (stream, continuation) = AsyncThrowingStream.makeStream(
            of: WatchEvent.self,
            throwing: (any Error).self,
            bufferingPolicy: .bufferingOldest(max(options.capacity, 1))
        )
        let gone = takeGone()
        let (id, initial) = try state.withLock { (state) throws(APIError) -> (Int, [WatchEvent]) in
            for id in gone { state.watchers[id] = nil }
            if state.isClosed { throw Self.closed }
            return try state.open(type, namespace: namespace, options, continuation)
        }
        continuation.onTermination = { [weak self] _ in self?.gone.withLock { $0.append(id) } }
        return WatchEvents(initial: initial, live: stream)
    }

    private func takeGone() -> [Int] {
        gone.withLock { gone in
            defer { gone = [] }
            return gone
        }
    }

    static let closed = APIError.unavailable("the store is closed")
}

// Writing.
extension SQLiteStore {
    package func create(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        try await submit(.create(object), isDryRun: options.isDryRun, options.tracking).object
    }

    package func replace(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        try await submit(.replace(object), isDryRun: options.isDryRun, options.tracking).object
    }

    package func updateStatus(_ object: Object, _ options: WriteOptions) async throws(APIError) -> Object {
        try await submit(.status(object), isDryRun: options.isDryRun, options.tracking).object
    }

    package func delete(_ key: ObjectKey, _ options: DeleteOptions) async throws(APIError) -> DeleteOutcome {
        guard case .deleted(let outcome) = try await submit(.delete(key, options), isDryRun: options.isDryRun) else {
            throw .internalError("a deletion came to no outcome")
        }
        return outcome
    }

    private func submit(
        _ intent: WriteIntent,
        isDryRun: Bool,
        _ tracking: FieldTracking? = nil
    ) async throws(APIError) -> WriteOutcome {
        let requester = WriteRequester.current
        let result = await withCheckedContinuation { continuation in
            let refusal = queue.withLock { queue -> APIError? in
                if queue.isClosed { return Self.closed }
                guard queue.waiting.count < limits.waitingWrites else {
                    return APIError(code: 429, reason: .tooManyRequests, message: "too many writes wait for the store")
                }
                queue.waiting.append(
                    Waiting(
                        intent: intent,
                        isDryRun: isDryRun,
                        tracking: tracking,
                        requester: requester,
                        continuation: continuation
                    )
                )
                if !queue.isRunning {
                    queue.isRunning = true
                    writer.async { self.drain() }
                }
                return nil
            }
            if let refusal { continuation.resume(returning: .failure(refusal)) }
        }
        return try result.get()
    }

    /// Runs on `writer`: batch after batch until nothing waits.
    private func drain() {
        while true {
            let batch = queue.withLock { queue -> [Waiting] in
                let batch = Array(queue.waiting.prefix(limits.batch))
                queue.waiting.removeFirst(batch.count)
                if batch.isEmpty { queue.isRunning = false }
                return batch
            }
            if batch.isEmpty { return }
            write(batch)
        }
    }

    private func write(_ waiting: [Waiting]) {
        var (results, changes, types) = decide(waiting)
        if !changes.isEmpty {
            do throws(APIError) {
                try commit(changes)
                publish(changes, types)
            } catch {
                // Decisions may rest on one another: when the disk refuses, none of them counts.
                results = results.map { $0.flatMap { _ in .failure(error) } }
            }
        }
        for (write, result) in zip(waiting, results) { write.continuation.resume(returning: result) }
    }

    /// Decides a batch. Its view of the objects ends here, so that publishing changes the tables in place.
    private func decide(_ waiting: [Waiting]) -> ([Result<WriteOutcome, APIError>], [Change], ServedTypes) {
        let (base, revision, types) = state.withLock { ($0.tables, $0.revision, $0.types) }
        var batch = WriteBatch(base: base, revision: revision, types: types, admissions: admissions, now: clock())
        var results: [Result<WriteOutcome, APIError>] = []
        for write in waiting {
            do throws(APIError) {
                results.append(
                    .success(
                        try batch.decide(
                            write.intent,
                            isDryRun: write.isDryRun,
                            tracking: write.tracking,
                            requester: write.requester
                        )
                    )
                )
            } catch {
                results.append(.failure(error))
            }
        }
        return (results, batch.changes, batch.types)
    }

    private func commit(_ changes: [Change]) throws(APIError) {
        let database = confined.database
        try database.transaction { () throws(APIError) in
            // Of several changes of one object only the last one has to reach the disk.
            var last: [ObjectKey: Int] = [:]
            for (index, change) in changes.enumerated() { last[change.key] = index }
            for (index, change) in changes.enumerated() where last[change.key] == index {
                guard !change.isDeletion else {
                    try database.delete(change.key)
                    continue
                }
                try database.upsert(
                    SQLiteDatabase.Row(
                        apiVersion: change.key.type.keptAs,
                        kind: change.key.type.kind,
                        namespace: change.key.namespace,
                        name: change.key.name,
                        revision: change.revision,
                        json: change.new.json
                    ),
                    uid: change.new.uid
                )
            }
            try database.setRevision(changes[changes.count - 1].revision)
        }
    }

    /// Shows committed changes to readers and watchers; ends watchers that do not keep up.
    private func publish(_ changes: [Change], _ types: ServedTypes) {
        let gone = takeGone()
        let ended = state.withLock { state -> [Watcher] in
            for id in gone { state.watchers[id] = nil }
            if changes.contains(where: { $0.key.type == ResourceTypes.definitions }) { state.serve(types) }
            return changes.flatMap { state.publish($0) } + state.takeWatchersOfGoneKinds()
        }
        // Outside the lock: ending a stream calls back into the store.
        for watcher in ended { watcher.expire() }
    }
}

/// Where a list goes on.
struct ListContinuation {
    /// Where a list goes on; nil for its first page.
    static func read(_ options: ListOptions) throws(APIError) -> ListContinuation? {
        guard let text = options.continuation else { return nil }
        guard let place = ListContinuation(text) else { throw .badRequest("continue key is not valid") }
        return place
    }

    let revision: Revision
    let namespace: String
    let name: String

    init(revision: Revision, namespace: String, name: String) {
        self.revision = revision
        self.namespace = namespace
        self.name = name
    }

    init?(_ text: String) {
        guard text.utf8.count < 2048, let bytes = Base64.decode(text),
            let plain = String(validating: bytes, as: UTF8.self)
        else { return nil }
        let parts = plain.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let revision = Revision(parts[0]) else { return nil }
        self.init(revision: revision, namespace: parts[1], name: parts[2])
    }

    /// The token, opaque to clients.
    var text: String { Base64.encode(Array("\(revision)/\(namespace)/\(name)".utf8)) }
}
