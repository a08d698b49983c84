import EnvoyAPI
import Glibc
import Wire

/// What `weft-proxy` does with its command line.
package enum ProxyProgram {
    /// Runs the program; the exit code: 0 = ended as asked, 1 = the command line, the configuration or the machine does not
    /// allow it.
    package static func run(_ words: [String]) -> Int32 {
        let options: ProxyOptions
        do {
            options = try ProxyOptions.parse(words)
        } catch {
            write(2, "weft-proxy: \(error.message)\n\(ProxyOptions.help)")
            return 1
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
        if options.wantsHotRestartVersion {
            write(1, "disabled\n")
            return 0
        }
        guard options.configPath != nil || options.configText != nil else {
            write(2, "weft-proxy: a configuration is required: -c FILE\n")
            return 1
        }
        if options.supervises { return ProxySupervisor.run(words, level: options.logLevel) }
        let log = ProcessLog(level: options.logLevel)
        if let path = options.logPath, let failure = log.open(path) {
            write(2, "weft-proxy: --log-path: \(failure)\n")
            return 1
        }
        do {
            var bootstrap = try readBootstrap(options, log)
            if options.mode == .validate { return try validate(bootstrap, options, log) }
            return try serve(&bootstrap, options, log)
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
        var value: Value?
        if let path = options.configPath {
            switch FileBytes.read(path, limit: ConfigurationStore.fileLimit) {
            case .success(let contents): value = try ConfigurationStore.document(contents)
            case .failure(let failure): throw ConfigurationProblems(lines: [failure.message])
            }
        }
        if let text = options.configText {
            do throws(ConfigurationProblems) {
                let more = try ConfigurationStore.document(Array(text.utf8))
                value = value.map { ConfigurationMerge.merge($0, more) } ?? more
            } catch { throw ConfigurationProblems(lines: error.lines.map { "--config-yaml: \($0)" }) }
        }
        do {
            var warnings: [SchemaProblem] = []
            var bootstrap = try Envoy.Bootstrap.read(value ?? .object(Fields()), warnings: &warnings)
            for warning in warnings { log.warning("without effect", ["field": warning.path, "why": warning.message]) }
            name(&bootstrap, options)
            return bootstrap
        } catch {
            throw ConfigurationProblems(lines: error.problems.map(\.description))
        }
    }

    /// Who the proxy is, by its command line.
    private static func name(_ bootstrap: inout Envoy.Bootstrap, _ options: ProxyOptions) {
        guard options.nodeID != nil || options.nodeCluster != nil || options.nodeZone != nil else { return }
        var node = bootstrap.node ?? Envoy.Node()
        if let id = options.nodeID { node.id = id }
        if let cluster = options.nodeCluster { node.cluster = cluster }
        if let zone = options.nodeZone {
            var locality = node.locality ?? Envoy.Locality()
            locality.zone = zone
            node.locality = locality
        }
        bootstrap.node = node
    }

    private static func validate(
        _ bootstrap: Envoy.Bootstrap,
        _ options: ProxyOptions,
        _ log: ProcessLog
    ) throws(ConfigurationProblems) -> Int32 {
        let store = ConfigurationStore()
        try store.load(bootstrap)
        let problems = OverloadSetup.compile(bootstrap.overloadManager, memory: 0).problems
        guard problems.isEmpty else { throw ConfigurationProblems(lines: problems) }
        if let admin = bootstrap.admin {
            store.context.reset()
            if let address = admin.address {
                _ = store.context.at("admin.address") { store.context.address(address) }
            }
            _ = AccessLogCompiler(context: store.context).logs("admin.access_log", admin.accessLog)
            guard store.context.isSound else { throw ConfigurationProblems(lines: store.context.problems) }
        }
        let refused = store.files.values.compactMap { file in file.state.error.map { "\(file.state.path): \($0)" } }
        guard refused.isEmpty else { throw ConfigurationProblems(lines: refused.sorted()) }
        write(1, "configuration '\(options.configPath ?? "")' OK\n")
        return 0
    }

    /// Takes the bootstrap away: the process keeps of it what it needs.
    private static func serve(
        _ bootstrap: inout Envoy.Bootstrap,
        _ options: ProxyOptions,
        _ log: ProcessLog
    ) throws(ConfigurationProblems) -> Int32 {
        do {
            let process = try ProxyProcess(options: options, bootstrap: bootstrap, log: log)
            bootstrap = Envoy.Bootstrap()
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
