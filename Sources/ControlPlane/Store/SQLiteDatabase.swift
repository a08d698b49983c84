import CSQLite
import Glibc
import Resources

/// One connection to the database file: the only one there is, used by the store's writer alone.
///
/// Not Sendable: whoever owns it serialises its use. WAL with `synchronous=FULL`, so that a committed write survives a
/// power cut.
final class SQLiteDatabase {
    /// What an object's row holds.
    struct Row {
        let apiVersion: String
        let kind: String
        let namespace: String
        let name: String
        let revision: Int64
        let json: [UInt8]

        /// What damage to any part of the row changes: SQLite checks its own structure, not what it was given.
        var sum: Int64 {
            var sum = RowSum()
            for part in [apiVersion, kind, namespace, name] { sum.add(part) }
            sum.add(UInt64(bitPattern: revision))
            json.withUnsafeBytes { sum.add($0) }
            return sum.value
        }
    }

    /// What a file is to whoever opens it, for messages.
    enum Role {
        case store
        /// A copy of this file, which was said to be a backup.
        case backup(String)
    }

    let handle: OpaquePointer
    let path: String
    private let role: Role
    private let maximumPages: Int
    private var statements: [Statement: OpaquePointer] = [:]

    private static let pageSize = 4096

    private enum Statement: String, CaseIterable {
        case begin = "BEGIN IMMEDIATE"
        case commit = "COMMIT"
        case rollback = "ROLLBACK"
        case upsert = """
            INSERT INTO objects(api_version, kind, namespace, name, revision, uid, json, sum)
            VALUES(?1,?2,?3,?4,?5,?6,?7,?8)
            ON CONFLICT(kind, api_version, namespace, name) DO UPDATE SET revision=?5, uid=?6, json=?7, sum=?8
            """
        case delete = "DELETE FROM objects WHERE api_version=?1 AND kind=?2 AND namespace=?3 AND name=?4"
        case sum = "UPDATE objects SET sum=?8 WHERE api_version=?1 AND kind=?2 AND namespace=?3 AND name=?4"
        case revision = "UPDATE facts SET value=?1 WHERE name='revision'"
    }

    /// The layout of the tables: 1 had no sums of rows, a newer one is refused.
    private static let layout: Int64 = 2

    /// Opens or makes the file, and checks it for damage. Beyond `maximumBytes` it will not grow: writes are refused as if
    /// the disk were full.
    ///
    /// - Throws: `APIError` that names the file, what is wrong with it and what to do.
    init(path: String, maximumBytes: Int, role: Role = .store) throws(APIError) {
        self.path = path
        self.role = role
        maximumPages = max(maximumBytes / Self.pageSize, 16)
        if path != ":memory:" { try Self.prepare(path, role) }
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard let handle, code == SQLITE_OK else {
            let why = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(handle)
            throw APIError.unavailable("cannot open the store \(path): \(why); check that its directory can be written")
        }
        self.handle = handle
        do {
            try prepareFile()
        } catch {
            // A damaged file stays as it is, with its log: whoever repairs it needs both.
            abandon()
            throw error
        }
    }

    deinit { close() }

    /// Looks at what is there before SQLite does, and makes a new file private: Secrets are in it. SQLite gives its log the
    /// same mode.
    private static func prepare(_ path: String, _ role: Role) throws(APIError) {
        let log = "\(path)-wal"
        var facts = stat()
        let isNew = stat(path, &facts) != 0 || facts.st_size == 0
        // SQLite would throw away the log of a file that is not there.
        if isNew, WriteAheadLog.holdsCommits(log) {
            throw damage(path, role, "it is missing or empty, but its log \(log) holds writes")
        }
        if let why = WriteAheadLog.damage(ofFile: log) { throw damage(path, role, why) }
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        fchmod(descriptor, 0o600)
        Glibc.close(descriptor)
        if isNew { StoreFile.syncDirectory(of: path) }
    }

    private var isClosed = false

    /// Finishes the statements, empties the write-ahead log into the file and closes it.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        for statement in statements.values { sqlite3_finalize(statement) }
        statements = [:]
        sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil)
        sqlite3_close_v2(handle)
    }

    /// Closes the file without a change to it: what is in its write-ahead log stays there.
    func abandon() {
        guard !isClosed else { return }
        isClosed = true
        _ = csqlite_keep_log_on_close(handle)
        for statement in statements.values { sqlite3_finalize(statement) }
        statements = [:]
        sqlite3_close_v2(handle)
    }

    /// Writes nothing to a file that has its tables: one on a full disk can still be read.
    private func prepareFile() throws(APIError) {
        sqlite3_busy_timeout(handle, 500)
        // One process owns the file: nobody can change it below the cache.
        try execute("PRAGMA locking_mode=EXCLUSIVE")
        var pages: Int64 = 0
        try query("PRAGMA page_count") { pages = sqlite3_column_int64($0, 0) }
        if case .backup = role { return try checkBackup() }
        if pages == 0 {
            // Before the first page is written: what is deleted gives its pages back.
            try execute("PRAGMA page_size=\(Self.pageSize)")
            try execute("PRAGMA auto_vacuum=INCREMENTAL")
        }
        try execute("PRAGMA journal_mode=WAL")
        try execute("PRAGMA max_page_count=\(maximumPages)")
        try execute("PRAGMA synchronous=FULL")
        try execute("PRAGMA wal_autocheckpoint=1000")
        try execute("PRAGMA journal_size_limit=4194304")
        try execute("PRAGMA cache_size=-512")
        try checkStructure()
        try makeTables()
        // Gives free pages back to the disk; one that is full allows not even that.
        try? execute("PRAGMA incremental_vacuum")
    }

    /// A copy stays as it is, and what is no store is not made one.
    private func checkBackup() throws(APIError) {
        try execute("PRAGMA synchronous=FULL")
        try checkStructure()
        var tables = 0
        try query("SELECT 1 FROM sqlite_master WHERE type='table' AND name IN ('facts', 'objects')") { _ in tables += 1
        }
        guard tables == 2 else { throw damage("it holds other things than a store") }
        try checkLayout()
    }

    private func checkStructure() throws(APIError) {
        var problems: [String] = []
        try query("PRAGMA integrity_check(3)") { statement in
            let text = Self.text(statement, 0)
            if text != "ok" { problems.append(text) }
        }
        guard problems.isEmpty else {
            throw damage(problems.joined(separator: "; "))
        }
    }

    /// What to say of a file whose content is not what was written.
    func damage(_ why: String) -> APIError { Self.damage(path, role, why) }

    private static func damage(_ path: String, _ role: Role, _ why: String) -> APIError {
        let message =
            switch role {
            case .backup(let file): "\(file) is no whole copy of a store (\(why)); nothing was changed"
            case .store:
                "the store \(path) is damaged (\(why)); nothing in it was changed. Put a backup in its place with 'weft "
                    + "restore FILE --force', or restore \(path) and \(path)-wal from a copy. Without one stop what still "
                    + "runs with 'weft down --keep-state', move both files away and apply your manifests again"
            }
        return APIError(code: 500, reason: .internalError, message: message)
    }

    private func makeTables() throws(APIError) {
        try execute("CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        try execute("INSERT OR IGNORE INTO facts VALUES('layout', \(Self.layout)), ('revision', 0)")
        try execute(
            """
            CREATE TABLE IF NOT EXISTS objects(
                api_version TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
                revision INTEGER NOT NULL, uid TEXT NOT NULL, json BLOB NOT NULL, sum INTEGER NOT NULL,
                PRIMARY KEY(kind, api_version, namespace, name))
            """
        )
        try checkLayout()
    }

    private func checkLayout() throws(APIError) {
        let layout = try fact("layout")
        if layout == 1 { return try addSums() }
        guard layout == Self.layout else {
            throw APIError.unavailable(
                "the store \(path) has layout \(layout), this version reads \(Self.layout); use the version that wrote it"
            )
        }
    }

    /// Brings a file of layout 1 to layout 2, in one step.
    private func addSums() throws(APIError) {
        try transaction { () throws(APIError) in
            try execute("ALTER TABLE objects ADD COLUMN sum INTEGER NOT NULL DEFAULT 0")
            for (row, _) in try storedRows() { try run(.sum) { bind($0, row) } }
            try execute("UPDATE facts SET value=2 WHERE name='layout'")
        }
    }

    private func fact(_ name: String) throws(APIError) -> Int64 {
        var value: Int64 = 0
        try query("SELECT value FROM facts WHERE name='\(name)'") { value = sqlite3_column_int64($0, 0) }
        return value
    }

    /// The revision of the last committed write.
    func revision() throws(APIError) -> Int64 { try fact("revision") }

    /// Every stored object.
    ///
    /// - Throws: `APIError` that names the row whose content is not what was written.
    func rows() throws(APIError) -> [Row] {
        let newest = try revision()
        return try storedRows().map { (row, sum) throws(APIError) in
            let name = "\(row.kind) \(row.namespace)/\(row.name)"
            guard row.sum == sum else { throw damage("\(name) is not as it was written") }
            guard row.revision <= newest else {
                throw damage("\(name) has revision \(row.revision), the store ends at \(newest)")
            }
            return row
        }
    }

    private func storedRows() throws(APIError) -> [(Row, Int64)] {
        var rows: [(Row, Int64)] = []
        try query("SELECT api_version, kind, namespace, name, revision, json, sum FROM objects") { statement in
            let count = Int(sqlite3_column_bytes(statement, 5))
            let blob = sqlite3_column_blob(statement, 5)
            let row = Row(
                apiVersion: Self.text(statement, 0),
                kind: Self.text(statement, 1),
                namespace: Self.text(statement, 2),
                name: Self.text(statement, 3),
                revision: sqlite3_column_int64(statement, 4),
                json: blob.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) } ?? []
            )
            rows.append((row, sqlite3_column_int64(statement, 6)))
        }
        return rows
    }

    /// A commit failed: what it left in the log is no part of any write, and must not be there when the next one follows.
    private var hasRest = false

    /// Does all of `body` or, when it throws or the disk refuses, nothing of it.
    func transaction(_ body: () throws(APIError) -> Void) throws(APIError) {
        if hasRest, sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_TRUNCATE, nil, nil) == SQLITE_OK {
            hasRest = false
        }
        try run(.begin) { _ in }
        do {
            try body()
            try run(.commit) { _ in }
        } catch {
            hasRest = true
            try? run(.rollback) { _ in }
            throw error
        }
    }

    func upsert(_ row: Row, uid: String) throws(APIError) {
        try run(.upsert) { statement in
            bind(statement, row)
            sqlite3_bind_int64(statement, 5, row.revision)
            Self.bind(statement, 6, uid)
            row.json.withUnsafeBytes { bytes in
                _ = sqlite3_bind_blob(statement, 7, bytes.baseAddress, Int32(clamping: bytes.count), Self.transient)
            }
        }
    }

    /// Its key and its sum.
    private func bind(_ statement: OpaquePointer, _ row: Row) {
        bindKey(statement, row.apiVersion, row.kind, row.namespace, row.name)
        sqlite3_bind_int64(statement, 8, row.sum)
    }

    func delete(_ key: ObjectKey) throws(APIError) {
        try run(.delete) { bindKey($0, key.type.keptAs, key.type.kind, key.namespace, key.name) }
    }

    func setRevision(_ revision: Int64) throws(APIError) {
        try run(.revision) { sqlite3_bind_int64($0, 1, revision) }
    }

    private func bindKey(_ statement: OpaquePointer, _ parts: String...) {
        for (index, part) in parts.enumerated() { Self.bind(statement, Int32(index) + 1, part) }
    }

    /// Tells SQLite to copy what is bound: the pointer is only good during the call.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    private static func bind(_ statement: OpaquePointer, _ index: Int32, _ text: String) {
        var text = text
        text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                _ = sqlite3_bind_text(statement, index, characters.baseAddress, Int32(clamping: bytes.count), transient)
            }
        }
    }

    private static func text(_ statement: OpaquePointer, _ column: Int32) -> String {
        guard let bytes = sqlite3_column_text(statement, column) else { return "" }
        return String(cString: bytes)
    }

    private func run(_ statement: Statement, _ bind: (OpaquePointer) -> Void) throws(APIError) {
        let prepared: OpaquePointer
        if let known = statements[statement] {
            prepared = known
        } else {
            var new: OpaquePointer?
            guard
                sqlite3_prepare_v3(handle, statement.rawValue, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &new, nil)
                    == SQLITE_OK,
                let new
            else { throw failure() }
            statements[statement] = new
            prepared = new
        }
        bind(prepared)
        let code = sqlite3_step(prepared)
        defer {
            sqlite3_reset(prepared)
            sqlite3_clear_bindings(prepared)
        }
        guard code == SQLITE_DONE || code == SQLITE_ROW else { throw failure() }
    }

    func execute(_ sql: String) throws(APIError) { try query(sql) { _ in } }

    func query(_ sql: String, _ row: (OpaquePointer) -> Void) throws(APIError) {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK, let statement else { throw failure() }
        defer { sqlite3_finalize(statement) }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: row(statement)
            case SQLITE_DONE: return
            default: throw failure()
            }
        }
    }

    func failure() -> APIError {
        let why = String(cString: sqlite3_errmsg(handle))
        switch sqlite3_errcode(handle) & 0xff {
        case SQLITE_FULL: return full()
        case SQLITE_BUSY, SQLITE_LOCKED:
            return .unavailable("the store \(path) is in use by another process: stop that one (`weft down`) first")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return damage(why)
        case SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_PERM:
            return .unavailable("the store \(path) cannot be written (\(why)): check the rights of its directory")
        case SQLITE_IOERR:
            // Some file systems find no room only when the file is mapped or synced.
            if Self.freeBytes(path) == 0 { return full() }
            return .unavailable("writing the store \(path) failed (\(why)): check its disk; nothing was written")
        default: return .internalError("the store \(path) failed: \(why)")
        }
    }

    private func full() -> APIError {
        let limit = "its limit of \(maximumPages / 256) MiB"
        guard let free = Self.freeBytes(path), free >= 1 << 20 else {
            return .insufficientStorage(
                "the store \(path) cannot grow: its disk is full; free some space; nothing was written"
            )
        }
        return .insufficientStorage("the store \(path) reached \(limit): delete objects; nothing was written")
    }

    /// What its disk has left for us; nil when that cannot be told.
    private static func freeBytes(_ path: String) -> UInt64? {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        return UInt64(facts.f_bavail) * UInt64(facts.f_frsize)
    }
}

extension ResourceType {
    /// The `api_version` of its rows: of a custom kind the group alone, for its objects outlive their versions.
    var keptAs: String { custom == nil ? apiVersion : group }
}
