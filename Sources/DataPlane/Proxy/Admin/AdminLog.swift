import EnvoyAPI
import Reactor
import Traffic

/// The access logs of the admin. On the main thread.
final class AdminLog {
    private let ring: AccessLogRing
    private let logs: [(index: AccessLogIndex, log: AccessLogConfiguration)]

    /// Nil: nothing is logged.
    init?(_ message: Envoy.Admin?, _ store: ConfigurationStore, _ thread: AccessLogThread) {
        guard let message else { return nil }
        var wanted = message.accessLog
        if !message.accessLogPath.isEmpty {
            let file = Envoy.FileAccessLog(path: message.accessLogPath)
            wanted.append(Envoy.AccessLog(name: "admin", typedConfig: .file(file)))
        }
        let indexes = AccessLogCompiler(context: store.context).logs("admin.access_log", wanted)
        guard !indexes.isEmpty else { return nil }
        let known = store.context.accessLogs.logs
        thread.setLogs(known)
        logs = indexes.map { ($0, known[Int($0)]) }
        ring = thread.makeRing()
    }

    func write(_ request: AdminRequest, _ response: AdminResponse, peer: SocketAddress) {
        let arena = Arena()
        var entry = AccessLogEntry()
        entry.numbers.startTime = WallClock.now()
        entry.numbers.status = response.status
        entry.numbers.bytesSent = UInt64(response.body.count)
        entry.numbers.version = 11
        entry.numbers.remote = peer
        entry.numbers.directRemote = peer
        entry.request = RequestView(
            method: arena.copy(request.method),
            authority: arena.copy(request.host),
            path: arena.copy(request.path)
        )
        for (index, log) in logs {
            if let filter = log.filter, !filter.admits(entry, random: { UInt64.random(in: 0...(.max)) }) { continue }
            ring.append(entry, to: index, format: log.format)
        }
        withExtendedLifetime(arena) {}
    }
}
