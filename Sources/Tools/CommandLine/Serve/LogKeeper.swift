import CWeft
import Glibc
import Servers

/// Keeps the proxy's logs from filling the disk: a log that grew large is set aside, one older one is kept.
struct LogKeeper: Sendable {
    /// What a log may grow to.
    static let largest = 32 << 20
    private static let interval = Duration.seconds(30)

    let directory: String
    let adminSocket: String

    /// Looks at the logs every half minute until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            guard !Task.isCancelled else { return }
            await keep()
        }
    }

    private func keep() async {
        if isLarge("access.log"), rename("\(directory)/access.log", "\(directory)/access.log.1") == 0 {
            let request = HTTPRequest("POST", "/reopen_logs")
            _ = try? await HTTPClient.send(
                request,
                to: .unix(adminSocket),
                target: "/reopen_logs",
                timeout: .seconds(5)
            )
        }
        // The proxy has this one as its standard error and only appends: it goes on from the start.
        if isLarge("proxy.log") { truncate("\(directory)/proxy.log", 0) }
    }

    private func isLarge(_ name: String) -> Bool {
        var facts = stat()
        return stat("\(directory)/\(name)", &facts) == 0 && facts.st_size > Self.largest
    }
}
