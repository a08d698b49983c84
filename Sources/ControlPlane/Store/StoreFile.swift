import Bytes
import Glibc
package import Resources

/// The store's file while nobody has it open: copies of it, and their way back.
package enum StoreFile {
    /// What a copy holds.
    package struct Content: Sendable, Equatable {
        package let objects: Int
        package let revision: Revision
    }

    /// Revisions that are left out when a store goes back in time: clients that saw later ones must not meet them again
    /// under other objects. The more when nobody can tell how far the store had come.
    static let leap: Revision = 1_000_000
    static let farLeap: Revision = 1_000_000_000

    /// What a restore writes before it puts it in place.
    package static func unfinished(_ store: String) -> String { "\(store).restoring" }

    /// Copies a store that no daemon has open; the copy must not be there yet.
    package static func copy(_ store: String, to path: String) throws(APIError) {
        let database = try SQLiteDatabase(path: store, maximumBytes: SQLiteStore.Limits().fileBytes)
        defer { database.abandon() }
        _ = try database.rows()
        let copy = try StoreCopy(of: database, to: path)
        while try !copy.step(pages: 4096) {}
    }

    /// Reads a copy whole: its structure, and every object in it.
    ///
    /// - Throws: `APIError` that says what of it is not as it was written.
    package static func verify(_ path: String, saidToBe origin: String? = nil) throws(APIError) -> Content {
        let database = try open(path, origin ?? path)
        defer { database.abandon() }
        return Content(objects: try database.rows().count, revision: try database.revision())
    }

    private static func open(_ path: String, _ origin: String) throws(APIError) -> SQLiteDatabase {
        try SQLiteDatabase(path: path, maximumBytes: SQLiteStore.Limits().fileBytes, role: .backup(origin))
    }

    /// Puts a copy in the place of a store that no daemon has open. What was there is kept in the folder `kept`.
    ///
    /// The copy is read whole before anything is changed. Whatever ends this half-way leaves the old store, the new one, or
    /// no store and an unfinished one beside, which a daemon does not start with; then the same call finishes it.
    ///
    /// `file` is a copy made by Weft, or the `store.db` of a daemon that has ended, with its `-wal` beside it.
    ///
    /// - Throws: `APIError` that says what of the copy is not as it was written, or which file the disk refuses.
    package static func restore(_ file: String, to store: String, keepingOldIn kept: String) throws(APIError) -> Content
    {
        let fresh = unfinished(store)
        for ending in ["", "-wal", "-journal"] { unlink(fresh + ending) }
        let content: Content
        do throws(APIError) {
            try duplicate(file, to: fresh)
            if access("\(file)-wal", F_OK) == 0 { try duplicate("\(file)-wal", to: "\(fresh)-wal") }
            content = try renew(fresh, saidToBe: file, after: revision(of: store))
        } catch {
            for ending in ["", "-wal", "-journal"] { unlink(fresh + ending) }
            throw error
        }
        // The file first: an old log must never stand beside the new file.
        for ending in ["", "-wal", "-journal"] where access(store + ending, F_OK) == 0 {
            guard mkdir(kept, 0o700) == 0 || errno == EEXIST, rename(store + ending, "\(kept)/store.db\(ending)") == 0
            else {
                throw failure("move aside", store + ending)
            }
        }
        syncDirectory(of: store)
        guard rename(fresh, store) == 0 else { throw failure("put in place", store) }
        syncDirectory(of: store)
        return content
    }

    /// Reads the copy whole and lets it go on behind every revision that was ever given out.
    private static func renew(_ fresh: String, saidToBe file: String, after old: Revision?) throws(APIError) -> Content
    {
        let database = try open(fresh, file)
        do throws(APIError) {
            let objects = try database.rows().count
            let newest = try database.revision()
            let next = old.map { max($0, newest) + leap } ?? (newest + farLeap)
            try database.transaction { () throws(APIError) in try database.setRevision(next) }
            // Whole in one file: nothing of it may be left in a log.
            try database.execute("PRAGMA journal_mode=DELETE")
            database.close()
            try sync(fresh)
            return Content(objects: objects, revision: next)
        } catch {
            database.abandon()
            throw error
        }
    }

    /// Where the store that is replaced ends; nil when there is none, or none that can be read.
    private static func revision(of store: String) -> Revision? {
        guard access(store, F_OK) == 0,
            let database = try? SQLiteDatabase(path: store, maximumBytes: SQLiteStore.Limits().fileBytes)
        else { return nil }
        defer { database.abandon() }
        return try? database.revision()
    }

    private static func duplicate(_ source: String, to target: String) throws(APIError) {
        let input = Glibc.open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw failure("read", source) }
        defer { close(input) }
        let output = Glibc.open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw failure("make", target) }
        defer { close(output) }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", source) }
            if count == 0 { break }
            var done = 0
            while done < count {
                let step = buffer.withUnsafeBytes { write(output, $0.baseAddress.map { $0 + done }, count - done) }
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { throw failure("write", target) }
                done += step
            }
        }
        guard fsync(output) == 0 else { throw failure("write", target) }
    }

    /// Brings a file and its name to the disk.
    package static func sync(_ path: String) throws(APIError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure("write", path) }
        syncDirectory(of: path)
    }

    /// A new file is there after a power cut only when its folder is on the disk too, and that one's name in its own folder.
    package static func syncDirectory(of path: String) {
        var folder = path[...]
        for _ in 0..<2 {
            guard let slash = folder.lastIndex(of: "/") else { return }
            folder = folder[..<slash]
            let descriptor = Glibc.open(folder.isEmpty ? "/" : String(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            fsync(descriptor)
            close(descriptor)
        }
    }

    static func failure(_ what: String, _ path: String) -> APIError {
        let code = errno
        let message = "cannot \(what) \(path): \(String(cString: strerror(code)))"
        return code == ENOSPC || code == EDQUOT ? .insufficientStorage(message) : .unavailable(message)
    }
}
