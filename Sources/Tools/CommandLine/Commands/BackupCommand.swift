import CWeft
import Glibc
import Resources
import Servers
import Store

/// `weft backup`: a copy of all objects in one file.
enum BackupCommand {
    static let command = Command(
        "backup",
        operands: "FILE",
        summary: "copy all objects into a file, while Weft runs or not",
        details: """
            The copy holds every object as it is at one moment, Secrets included, and only you may read it. It is read back
            whole before it gets its name: what stands there afterwards is a good copy, or what stood there before. Data of
            volumes is not in it.
            """,
        options: [Option("force", help: "replace FILE when it is there already"), .stateDirectory],
        examples: ["weft backup /srv/backups/weft-monday.db"],
        operandCount: 1...1
    ) { arguments in
        let state = try StateDirectory(arguments)
        let file = FileReader.absolute(arguments.operands[0])
        guard arguments.isSet("force") || access(file, F_OK) != 0 else {
            throw CommandError("\(file) is there already; choose another name, or replace it with --force")
        }
        let part = "\(file).part"
        unlink(part)
        do {
            try await write(state, to: part)
            let content = try StoreFile.verify(part)
            guard rename(part, file) == 0 else {
                throw CommandError("cannot make \(file): \(FileReader.describe(errno))")
            }
            StoreFile.syncDirectory(of: file)
            let size = SizeText.of(file)
            Terminal.print("\(file): \(CountText.objects(content.objects)) at revision \(content.revision), \(size)")
            return .success
        } catch {
            for ending in ["", "-journal", "-wal"] { unlink(part + ending) }
            throw error
        }
    }

    private static func write(_ state: StateDirectory, to part: String) async throws {
        let client = APIClient(state)
        guard await DeadDaemon.isAlive(state, client) else {
            guard access(state.store, F_OK) == 0 else {
                throw CommandError(
                    "there is no store in the state directory \(state.path); name another with --state-dir"
                )
            }
            // No daemon may start while its store is read.
            let lock = try DaemonLock(state)
            defer { lock.release() }
            return try StoreFile.copy(state.store, to: part)
        }
        try await receive(client, to: part)
    }

    private static func receive(_ client: APIClient, to part: String) async throws {
        let answer = try await client.transport.open("GET", "/apis/weft.dev/v1alpha1/backup")
        guard answer.status == 200 else {
            throw APIClient.failure(try await answer.rest(limit: 1 << 20), answer.status)
        }
        let descriptor = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CommandError("cannot make \(part): \(FileReader.describe(errno))") }
        defer { close(descriptor) }
        while let piece = try await answer.stream.next() {
            var done = 0
            while done < piece.count {
                let step = piece.withUnsafeBytes {
                    Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
                }
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { throw CommandError("cannot write \(part): \(FileReader.describe(errno))") }
                done += step
            }
        }
        guard fsync(descriptor) == 0 else { throw CommandError("cannot write \(part): \(FileReader.describe(errno))") }
    }
}

/// `weft restore`: a copy takes the store's place.
enum RestoreCommand {
    static let command = Command(
        "restore",
        operands: "FILE",
        summary: "put a copy made by 'weft backup' in the place of the store",
        details: """
            Weft must not run: stop it with 'weft down --keep-state' first. The copy is read whole before anything is changed,
            and what was there is kept in the folder 'replaced' of the state directory. With the next 'weft up' or 'weft
            serve' Weft is as the copy says: pods that still run and are in it go on, others end. Its revisions go on behind
            every one that was given out before, so that whoever watches notices.
            """,
        options: [
            Option("force", help: "replace a store that holds objects, or one that is damaged"), .stateDirectory,
        ],
        examples: ["weft down --keep-state && weft restore /srv/backups/weft-monday.db && weft up"],
        operandCount: 1...1
    ) { arguments in
        let state = try StateDirectory(arguments)
        let file = FileReader.absolute(arguments.operands[0])
        guard access(file, R_OK) == 0 else {
            throw CommandError("cannot read \(file): \(FileReader.describe(errno))")
        }
        try state.make()
        let lock = try takeLock(state)
        defer { lock.release() }
        var facts = stat()
        guard arguments.isSet("force") || stat(state.store, &facts) != 0 || facts.st_size == 0 else {
            throw CommandError(
                "\(state.path) holds a store already; keep a copy of it with 'weft backup FILE', then replace it with --force"
            )
        }
        let isReplaced = access(state.store, F_OK) == 0
        let kept = try Self.folder(state, isReplaced)
        let content = try StoreFile.restore(file, to: state.store, keepingOldIn: kept)
        Terminal.print(
            "restored \(CountText.objects(content.objects)) from \(file); revisions go on at \(content.revision)"
                + (isReplaced ? "\nwhat was there is kept in \(kept)" : "")
        )
        return .success
    }

    private static func takeLock(_ state: StateDirectory) throws(CommandError) -> DaemonLock {
        do throws(CommandError) { return try DaemonLock(state) } catch {
            guard let pid = DaemonLock.holder(of: state) else { throw error }
            throw CommandError(
                "weft runs with the state directory \(state.path) (pid \(pid)): stop it with 'weft down --keep-state' first"
            )
        }
    }

    /// A folder of its own for each time.
    private static func folder(_ state: StateDirectory, _ isNeeded: Bool) throws(CommandError) -> String {
        let all = "\(state.path)/replaced"
        if isNeeded, mkdir(all, 0o700) != 0, errno != EEXIST {
            throw CommandError("cannot make \(all): \(FileReader.describe(errno))")
        }
        let time = SQLiteStore.now().description
        for number in 1..<1000 {
            let folder = "\(all)/\(time)" + (number > 1 ? "-\(number)" : "")
            if access(folder, F_OK) != 0 { return folder }
        }
        throw CommandError("\(all) holds too many folders of this second; remove some")
    }
}

enum CountText {
    static func objects(_ count: Int) -> String { "\(count) object\(count == 1 ? "" : "s")" }
}

enum SizeText {
    /// The size of a file in kB or MB.
    static func of(_ path: String) -> String {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return "of unknown size" }
        let size = Int(facts.st_size)
        return size < 1_000_000 ? "\((size + 999) / 1000) kB" : "\(size / 1_000_000).\(size / 100_000 % 10) MB"
    }
}
