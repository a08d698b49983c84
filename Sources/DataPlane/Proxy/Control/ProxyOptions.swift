/// The command line of weft-proxy.
struct ProxyOptions: Sendable {
    enum Mode: String, Sendable {
        case serve, validate
        /// Prints docs/envoy-compatibility.md: for those who change the tables.
        case compatibility
    }

    var configPath: String?
    /// Inline configuration, merged over nothing: used instead of a file.
    var configText: String?
    var mode = Mode.serve
    /// nil = one worker per processor.
    var concurrency: Int?
    var logLevel = LogLevel.info
    var drainSeconds: UInt64 = 10
    /// The Unix socket of whoever keeps the listening sockets while this process is gone.
    var keeperPath: String?
    var wantsVersion = false
    var wantsHelp = false

    static let help = """
        weft-proxy: a proxy that runs an Envoy v3 bootstrap

        usage: weft-proxy -c FILE [options]

          -c, --config-path FILE   the bootstrap, JSON or YAML
          --config-yaml TEXT       the bootstrap itself instead of a file
          --mode serve|validate    validate: name every problem by its path and end (0 = good, 1 = not)
          --concurrency N          worker threads (default: one per processor)
          -l, --log-level LEVEL    trace, debug, info, warning, error, critical, off (default: info)
          --drain-time-s N         seconds for connections to end after SIGTERM (default: 10)
          --listener-keeper PATH   the Unix socket of a keeper of listening sockets: the next proxy takes them over
          --version                print the version and end
          -h, --help               print this and end

        signals: TERM and INT drain and end (a second one ends at once), USR1 opens log files again, HUP reads all
        configuration files again

        """

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
                    throw UsageError(message: "--mode must be serve or validate, not \"\(text)\"")
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
            // Envoy's hot restart has no counterpart here; scripts that set its number run unchanged.
            case "--base-id", "--restart-epoch", "--service-cluster", "--service-node", "--service-zone":
                _ = try value()
            case "--disable-hot-restart", "--use-dynamic-base-id": break
            case "--version": options.wantsVersion = true
            case "-h", "--help": options.wantsHelp = true
            default: throw UsageError(message: "unknown option \(name)")
            }
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
