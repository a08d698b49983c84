import CSQLite
import Glibc
package import Resources

/// A copy of an open store that is under way: a page here and a page there, with writes in between.
///
/// Not Sendable: used where the database is.
final class StoreCopy {
    private let source: SQLiteDatabase
    private let target: OpaquePointer
    private let path: String
    private var backup: OpaquePointer?

    /// Begins to copy to a file that must not be there yet.
    init(of source: SQLiteDatabase, to path: String) throws(APIError) {
        self.source = source
        self.path = path
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StoreFile.failure("make", path) }
        close(descriptor)
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
        guard sqlite3_open_v2(path, &handle, flags, nil) == SQLITE_OK, let handle else {
            sqlite3_close_v2(handle)
            unlink(path)
            throw StoreFile.failure("open", path)
        }
        target = handle
        // Nobody else has the copy: its log needs no shared memory.
        sqlite3_exec(handle, "PRAGMA locking_mode=EXCLUSIVE", nil, nil, nil)
        backup = sqlite3_backup_init(handle, "main", source.handle, "main")
        guard backup != nil else { throw giveUp() }
    }

    deinit {
        if let backup { sqlite3_backup_finish(backup) }
        sqlite3_close_v2(target)
    }

    /// Copies some pages more; true when all are there and on the disk.
    func step(pages: Int32) throws(APIError) -> Bool {
        switch sqlite3_backup_step(backup, pages) {
        case SQLITE_OK: return false
        case SQLITE_DONE: break
        default: throw giveUp()
        }
        let code = sqlite3_backup_finish(backup)
        backup = nil
        // A file of its own, without a log beside it.
        guard code == SQLITE_OK, sqlite3_exec(target, "PRAGMA journal_mode=DELETE", nil, nil, nil) == SQLITE_OK else {
            throw giveUp()
        }
        try StoreFile.sync(path)
        return true
    }

    /// Removes what was copied so far.
    func giveUp() -> APIError {
        let why = String(cString: sqlite3_errmsg(target))
        if let backup { sqlite3_backup_finish(backup) }
        backup = nil
        unlink(path)
        unlink("\(path)-journal")
        let isFull = sqlite3_errcode(target) & 0xff == SQLITE_FULL
        let message = "copying the store \(source.path) to \(path) failed (\(why)); the store is as it was"
        return isFull ? .insufficientStorage(message) : .unavailable(message)
    }
}

extension SQLiteStore {
    /// Pages that are copied between two writes.
    private static let copiedPages: Int32 = 512

    /// Writes all objects, as they are at one moment, to a file that must not be there yet. Writes go on meanwhile.
    ///
    /// - Throws: `APIError` when the file cannot be written; then it is removed.
    package func copy(to path: String) async throws(APIError) {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Void, APIError>, Never>) in
            onWriter { database in
                do throws(APIError) {
                    let copy = try StoreCopy(of: database(), to: path)
                    self.goOn(Unshared(copy), continuation)
                } catch { continuation.resume(returning: .failure(error)) }
            }
        }
        try result.get()
    }

    private func goOn(_ copy: Unshared, _ continuation: CheckedContinuation<Result<Void, APIError>, Never>) {
        onWriter { database in
            do throws(APIError) {
                do throws(APIError) { _ = try database() } catch {
                    _ = copy.value.giveUp()
                    throw error
                }
                if try copy.value.step(pages: Self.copiedPages) { return continuation.resume(returning: .success(())) }
                self.goOn(copy, continuation)
            } catch { continuation.resume(returning: .failure(error)) }
        }
    }

    /// Safety: the copy is made, used and let go on the store's writer.
    private struct Unshared: @unchecked Sendable {
        let value: StoreCopy
        init(_ value: StoreCopy) { self.value = value }
    }
}
