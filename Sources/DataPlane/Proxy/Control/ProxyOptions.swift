import Traffic

/// The command line of weft-proxy.
struct ProxyOptions: Sendable {
    enum Mode: String, Sendable {
        case serve, validate
        case initOnly = "init_only"
        /// Prints docs/envoy-compatibility.md: for those who change the tables.
        case compatibility
    }

    var configPath: String?
    /// Configuration on the command line: merged over the file's, or in its place.
    var configText: String?
    var mode = Mode.serve
    /// nil = one worker per processor.
    var concurrency: Int?
    var logLevel = LogLevel.info
    /// The process log goes here in place of standard error.
    var logPath: String?
    var drainSeconds: UInt64 = 10
    /// Connections are told to end one after another over the drain time.
    var drainsGradually = false
    /// In place of what the bootstrap's node says.
    var nodeID: String?
    var nodeCluster: String?
    var nodeZone: String?
    /// Where the admin's address is written.
    var adminAddressPath: String?
    /// The Unix socket of whoever keeps the listening sockets while this process is gone.
    var keeperPath: String?
    /// Who opens a tap over TCP has to know what stands in this file.
    var tapTokenPath: String?
    /// Names of fields whose values taps do not show, in place of the standard ones.
    var tapRedaction: Set<String>?
    /// Watch over a proxy instead of being one.
    var supervises = false
    /// A supervisor watches over this one.
    var isSupervised = false
    var wantsVersion = false
    var wantsHotRestartVersion = false
    var wantsHelp = false

    static let help = """
        weft-proxy: a proxy that runs an Envoy v3 bootstrap

        usage: weft-proxy -c FILE [options]

          -c, --config-path FILE     the bootstrap, JSON or YAML
          --config-yaml TEXT         merged over the bootstrap, or in its place: lists grow, everything else is replaced
          --mode MODE                serve; validate: name every problem by its path and end (0 = good, 1 = not);
                                     init_only: end as soon as it would serve
          --concurrency N            worker threads (default: one per processor)
          -l, --log-level LEVEL      trace, debug, info, warning, error, critical, off (default: info)
          --log-path FILE            the process log goes there in place of standard error
          --drain-time-s N           seconds for connections to end after SIGTERM (default: 10)
          --drain-strategy STRATEGY  immediate: every connection ends with its next answer (default);
                                     gradual: more and more of them do, over the drain time
          --service-node ID          the node's id, in place of the bootstrap's; --service-cluster, --service-zone likewise
          --admin-address-path FILE  write the address of the admin there
          --listener-keeper PATH     the Unix socket of a keeper of listening sockets: the next proxy takes them over
          --tap-token-file FILE      the token for POST /tap of the admin over TCP: 16 bytes or more
          --tap-redact NAMES         fields whose values taps do not show, with commas between them, in place of the
                                     standard ones (authorization, cookie, set-cookie, x-api-key, ...)
          --version                  print the version and end
          -h, --help                 print this and end

          --supervise                run the proxy in a process of its own: start it again when it dies, and put a new one in
                                     its place on HUP; listening sockets stay open meanwhile

        Hot restart is the supervisor's: --disable-hot-restart, --base-id, --use-dynamic-base-id, --restart-epoch 0 and
        --parent-shutdown-time-s are taken and change nothing.

        signals: TERM and INT drain and end (a second one ends at once), USR1 opens log files again, HUP reads all
        configuration files again; with --supervise HUP starts a new proxy, with the program and the configuration that are
        there now, and ends the old one once the new one serves

        """

    /// Options of Envoy that are refused, and what to do instead.
    private static let refused: [String: String] = [
        "--component-log-level": "there is one log level for all parts; use --log-level",
        "--log-format": "the process log has one form, key=value",
        "--log-format-escaped": "the process log is always escaped",
        "--fine-grain-logging": "there is one log level for all parts; use --log-level",
        "--allow-unknown-fields": "fields that are not known are always errors",
        "--allow-unknown-static-fields": "fields that are not known are always errors",
        "--ignore-unknown-dynamic-fields": "fields that are not known are always errors",
        "--base-id-path": "there is no base id; see --supervise",
        "--socket-path": "there is no base id; see --supervise",
        "--cpuset-threads": "use --concurrency",
    ]

    /// Options from the words after the program's name.
    static func parse(_ words: [String]) throws(UsageError) -> ProxyOptions {
        var options = ProxyOptions()
        var rest = words[...]
        while let word = rest.popFirst() {
            var name = word
            var inline: String?
            if word.hasPrefix("--"), let equals = word.firstIndex(of: "=") {
                name = String(word[..<equals])
                inline = String(word[word.index(after: equals)...])
            }
            func value() throws(UsageError) -> String {
                if let inline { return inline }
                guard let next = rest.popFirst() else { throw UsageError(message: "\(name) needs a value") }
                return next
            }
            switch name {
            case "-c", "--config-path": options.configPath = try value()
            case "--config-yaml": options.configText = try value()
            case "--mode":
                let text = try value()
                guard let mode = Mode(rawValue: text) else {
                    throw UsageError(message: "--mode must be serve, validate or init_only, not \"\(text)\"")
                }
                options.mode = mode
            case "--concurrency": options.concurrency = try number(try value(), name, 1...1024)
            case "-l", "--log-level":
                let text = try value()
                guard let level = LogLevel(name: text) else {
                    throw UsageError(message: "--log-level: \"\(text)\" is no level; see --help")
                }
                options.logLevel = level
            case "--drain-time-s": options.drainSeconds = UInt64(try number(try value(), name, 0...86_400))
            case "--listener-keeper": options.keeperPath = try value()
            case "--tap-token-file": options.tapTokenPath = try value()
            case "--tap-redact": options.tapRedaction = TapRedaction.names(try value())
            case "--supervise": options.supervises = true
            case "--supervised": options.isSupervised = true
            case "--log-path": options.logPath = try value()
            case "--drain-strategy":
                let text = try value()
                guard text == "gradual" || text == "immediate" else {
                    throw UsageError(message: "--drain-strategy must be gradual or immediate, not \"\(text)\"")
                }
                options.drainsGradually = text == "gradual"
            case "--service-node": options.nodeID = try value()
            case "--service-cluster": options.nodeCluster = try value()
            case "--service-zone": options.nodeZone = try value()
            case "--admin-address-path": options.adminAddressPath = try value()
            // Hot restart has no counterpart here; scripts that set its numbers run unchanged.
            case "--base-id": _ = try number(try value(), name, 0...Int(UInt32.max))
            case "--parent-shutdown-time-s": _ = try number(try value(), name, 0...1_000_000)
            case "--restart-epoch":
                guard try number(try value(), name, 0...Int(Int32.max)) == 0 else {
                    throw UsageError(
                        message: "--restart-epoch: one proxy takes over from another under --supervise; start with "
                            + "epoch 0"
                    )
                }
            case "--disable-hot-restart", "--use-dynamic-base-id", "--reject-unknown-dynamic-fields": break
            case "--hot-restart-version": options.wantsHotRestartVersion = true
            case "--version": options.wantsVersion = true
            case "-h", "--help": options.wantsHelp = true
            default:
                if let why = refused[name] { throw UsageError(message: "\(name) is not supported: \(why)") }
                throw UsageError(message: "unknown option \(name)")
            }
        }
        if options.supervises, options.mode != .serve || options.keeperPath != nil || options.isSupervised {
            throw UsageError(message: "--supervise goes neither with --mode nor with --listener-keeper")
        }
        return options
    }

    private static func number(_ text: String, _ name: String, _ range: ClosedRange<Int>) throws(UsageError) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw UsageError(message: "\(name) must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}

/// A command line that cannot be understood.
struct UsageError: Error, Equatable {
    let message: String
}
