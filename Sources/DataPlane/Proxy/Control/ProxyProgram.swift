import EnvoyAPI
import Glibc
import Wire

/// What `weft-proxy` does with its command line.
package enum ProxyProgram {
    /// Runs the program; the exit code: 0 = ended as asked, 1 = the configuration or the machine does not allow it,
    /// 2 = the command line is wrong.
    package static func run(_ words: [String]) -> Int32 {
        let options: ProxyOptions
        do {
            options = try ProxyOptions.parse(words)
        } catch {
            write(2, "weft-proxy: \(error.message)\n\(ProxyOptions.help)")
            return 2
        }
        if options.wantsHelp {
            write(1, ProxyOptions.help)
            return 0
        }
        if options.wantsVersion {
            write(1, "weft-proxy \(ProxyProcess.version)\n")
            return 0
        }
        if options.mode == .compatibility {
            write(1, CompatibilityPage.text())
            return 0
        }
        guard options.configPath != nil || options.configText != nil else {
            write(2, "weft-proxy: a configuration is required: -c FILE\n")
            return 2
        }
        let log = ProcessLog(level: options.logLevel)
        do {
            let bootstrap = try readBootstrap(options, log)
            return try options.mode == .validate ? validate(bootstrap, options, log) : serve(bootstrap, options, log)
        } catch {
            let name = options.configPath ?? "the configuration"
            write(2, "weft-proxy: \(name) cannot be used:\n")
            for line in error.lines { write(2, "  \(line)\n") }
            return 1
        }
    }

    private static func readBootstrap(
        _ options: ProxyOptions,
        _ log: ProcessLog
    ) throws(ConfigurationProblems) -> Envoy.Bootstrap {
        let bytes: [UInt8]
        if let text = options.configText {
            bytes = Array(text.utf8)
        } else {
            switch FileBytes.read(options.configPath ?? "", limit: ConfigurationStore.fileLimit) {
            case .success(let contents): bytes = contents
            case .failure(let failure): throw ConfigurationProblems(lines: [failure.message])
            }
        }
        let value = try ConfigurationStore.document(bytes)
        do {
            var warnings: [SchemaProblem] = []
            let bootstrap = try Envoy.Bootstrap.read(value, warnings: &warnings)
            for warning in warnings { log.warning("without effect", ["field": warning.path, "why": warning.message]) }
            return bootstrap
        } catch {
            throw ConfigurationProblems(lines: error.problems.map(\.description))
        }
    }

    private static func validate(
        _ bootstrap: Envoy.Bootstrap,
        _ options: ProxyOptions,
        _ log: ProcessLog
    ) throws(ConfigurationProblems) -> Int32 {
        let store = ConfigurationStore()
        try store.load(bootstrap)
        if let address = bootstrap.admin?.address {
            store.context.reset()
            _ = store.context.at("admin.address") { store.context.address(address) }
            guard store.context.isSound else { throw ConfigurationProblems(lines: store.context.problems) }
        }
        let refused = store.files.values.compactMap { file in file.state.error.map { "\(file.state.path): \($0)" } }
        guard refused.isEmpty else { throw ConfigurationProblems(lines: refused.sorted()) }
        write(1, "configuration '\(options.configPath ?? "")' OK\n")
        return 0
    }

    private static func serve(
        _ bootstrap: Envoy.Bootstrap,
        _ options: ProxyOptions,
        _ log: ProcessLog
    ) throws(ConfigurationProblems) -> Int32 {
        do {
            let process = try ProxyProcess(options: options, bootstrap: bootstrap, log: log)
            return try process.run(WorkerThreads.start)
        } catch {
            throw ConfigurationProblems(lines: error.message.split(separator: "\n").map(String.init))
        }
    }

    private static func write(_ fd: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                raw.baseAddress.map { Glibc.write(fd, $0 + done, raw.count - done) } ?? 0
            }
            guard count > 0 else { return }
            done += count
        }
    }
}
