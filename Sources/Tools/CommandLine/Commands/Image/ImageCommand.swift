import Glibc
import Images
import Wire

/// `weft image`: the OCI images of this machine.
enum ImageCommand {
    static let command = Command(
        "image",
        operands: "list|pull|load|inspect|rm|prune [NAME|FILE]...",
        summary: "list, fetch, load and remove OCI images",
        details: """
            'pull' asks the registry, 'load' takes an OCI layout (a folder or a tar) or an archive of 'docker save'; - is
            standard input. Both keep the image until it is removed; others go when the disk is nearly full and no pod uses
            them. 'rm' takes a name, or the beginning of an image's digest. 'prune' removes what has no name and no user,
            with --all whatever no pod uses. Credentials come from --creds, else from where 'docker login' and 'podman login'
            put them. It works while Weft runs or not.
            """,
        options: [
            Option(
                "creds",
                value: "USER:PASSWORD",
                help: "pull: show these to the registry (or set $WEFT_IMAGE_CREDS)"
            ),
            Option("plain-http", help: "pull: HTTP without TLS is fine with this registry"),
            Option("platform", value: "OS/ARCH", help: "pull, load: of another platform than this machine's"),
            Option("name", value: "NAME", help: "load: what the image is to be called"),
            Option("image", value: "NAME", help: "load: one of the images in the file, by its tag or name"),
            Option("all", short: "a", help: "prune: everything that no pod uses"),
            Option("quiet", short: "q", help: "list: digests only; pull, load: no progress"),
            .output, .stateDirectory,
        ],
        examples: [
            "weft image pull busybox:1.36", "podman save shop/web:1 | weft image load -",
            "weft image load ./layout --name shop/web:1", "weft image rm busybox:1.36",
        ],
        operandCount: 1...Int.max
    ) { arguments in
        let verb = arguments.operands[0]
        let words = Array(arguments.operands.dropFirst())
        let format = try OutputFormat(arguments.value("output"), allowed: [.json, .yaml, .wide, .name])
        func one(_ what: String) throws(UsageError) -> String {
            guard words.count == 1 else { throw UsageError("'weft image \(verb)' takes one \(what)") }
            return words[0]
        }
        switch verb {
        case "list", "ls":
            guard words.isEmpty else { throw UsageError("'weft image list' takes no name") }
        case "pull", "inspect", "load": _ = try one(verb == "load" ? "file, folder or -" : "name of an image")
        case "rm", "remove":
            guard !words.isEmpty else { throw UsageError("'weft image rm' takes names or digests of images") }
        case "prune": guard words.isEmpty else { throw UsageError("'weft image prune' takes no name") }
        default:
            let known = ["list", "pull", "load", "inspect", "rm", "prune"]
            let guess = Spelling.nearest(to: verb, among: known).map { "; did you mean \($0)?" } ?? ""
            throw UsageError("'\(verb)' is none of \(known.joined(separator: ", "))\(guess)")
        }
        return try await ImageDesk.with(arguments) { desk in
            switch verb {
            case "list", "ls": try await ImageViews.list(desk, format, isQuiet: arguments.isSet("quiet"))
            case "inspect": try await ImageViews.inspect(desk, words[0], format)
            case "pull": try await pull(desk, words[0], arguments, format)
            case "load": try await load(desk, words[0], arguments, format)
            case "prune": ImageViews.show(try await desk.prune(isAll: arguments.isSet("all")), format)
            default: return try await remove(desk, words, format)
            }
            return .success
        }
    }

    private static func pull(
        _ desk: ImageDesk,
        _ name: String,
        _ arguments: Arguments,
        _ format: OutputFormat
    ) async throws {
        var request: Value = ["reference": .string(name), "plainHTTP": .bool(arguments.isSet("plain-http"))]
        let environment = getenv("WEFT_IMAGE_CREDS").map { String(cString: $0) }
        if let text = arguments.value("creds") ?? environment {
            guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
                throw UsageError("--creds takes USER:PASSWORD")
            }
            request["user"] = .string(String(text[..<colon]))
            request["password"] = .string(String(text[text.index(after: colon)...]))
        }
        request["platform"] = arguments.value("platform").map { .string($0) }
        let progress = ImageProgress(isQuiet: arguments.isSet("quiet"))
        let result = try await desk.pull(request) { progress.show($0) }
        progress.end()
        if format == .json {
            Terminal.print(JSON.write(result, pretty: true))
        } else {
            Terminal.print("\(result["reference"]?.stringValue ?? name) \(result["id"]?.stringValue ?? "")")
        }
    }

    private static func load(
        _ desk: ImageDesk,
        _ file: String,
        _ arguments: Arguments,
        _ format: OutputFormat
    ) async throws {
        var spooled: String?
        defer { if let spooled { unlink(spooled) } }
        if file == "-" { spooled = try spool(desk.state) }
        var request: Value = ["path": .string(spooled ?? FileReader.absolute(file))]
        for name in ["name", "image", "platform"] { request[name] = arguments.value(name).map { .string($0) } }
        let progress = ImageProgress(isQuiet: arguments.isSet("quiet"))
        let result = try await desk.load(request) { progress.show($0) }
        progress.end()
        if format == .json { return Terminal.print(JSON.write(result, pretty: true)) }
        for image in result["images"]?.arrayValue ?? [] {
            let names = (image["names"]?.arrayValue ?? []).compactMap(\.stringValue)
            for name in names.isEmpty ? ["<none>"] : names {
                Terminal.print("\(name) \(image["id"]?.stringValue ?? "")")
            }
        }
    }

    /// Standard input as a file, beside the store: that disk has to have room for the image in any case.
    private static func spool(_ state: StateDirectory) throws -> String {
        guard isatty(STDIN_FILENO) == 0 else {
            throw CommandError(
                "standard input is a terminal; pipe an archive into it: podman save NAME | weft image load -"
            )
        }
        try state.make()
        var template = Array("\(state.path)/image-XXXXXX".utf8CString)
        let fd = mkostemp(&template, O_CLOEXEC)
        guard fd >= 0 else { throw CommandError("cannot make a file in \(state.path): \(FileReader.describe(errno))") }
        defer { close(fd) }
        let path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        var piece = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(STDIN_FILENO, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            if count == 0 { return path }
            var done = 0
            while count > 0, done < count {
                let step = piece.withUnsafeBytes { write(fd, $0.baseAddress.map { $0 + done }, count - done) }
                if step < 0, errno == EINTR { continue }
                guard step > 0 else { break }
                done += step
            }
            guard count > 0, done == count else {
                let why = FileReader.describe(errno)
                unlink(path)
                throw CommandError("cannot keep standard input in \(path): \(why)")
            }
        }
    }

    private static func remove(_ desk: ImageDesk, _ words: [String], _ format: OutputFormat) async throws -> ExitCode {
        var code = ExitCode.success
        for word in words {
            do { ImageViews.show(try await desk.remove(word), format) } catch {
                // One that cannot go does not keep the others.
                Terminal.complain(Messages.text(of: error))
                code = .failure
            }
        }
        return code
    }
}
