import Bytes
import Glibc
import Reactor

/// Listening sockets of this proxy's predecessor, until the workers take them over with the first configuration.
///
/// Any thread may call it; workers do so when they open a listener, never per connection.
final class ListenerVault: Sendable {
    private struct Contents {
        var sockets: [KeptListener: [Int32]] = [:]
        var paths: [String: (name: KeptPath, fd: Int32)] = [:]
        var count = 0
    }
    private let contents = Lock(Contents())
    private let workerCount: Int

    init(workerCount: Int) { self.workerCount = max(1, workerCount) }

    deinit { closeAll() }

    /// Takes over a socket that the keeper gave.
    func put(_ listener: KeptListener, _ fd: Int32) {
        contents.withLock { contents in
            contents.sockets[listener, default: []].append(fd)
            contents.count += 1
        }
    }

    /// Takes over a Unix socket that the keeper gave.
    func put(_ path: KeptPath, _ fd: Int32) {
        let old: Int32? = contents.withLock { contents in
            guard let old = contents.paths.updateValue((path, fd), forKey: path.path) else {
                contents.count += 1
                return nil
            }
            return old.fd
        }
        if let old { close(old) }
    }

    /// The kept socket of a path, while clients reach it there.
    func take(_ path: String) -> (name: KeptPath, fd: Int32)? {
        contents.withLock { contents in
            guard let found = contents.paths.removeValue(forKey: path) else { return nil }
            contents.count -= 1
            guard found.name.isServed(by: found.fd) else {
                close(found.fd)
                return nil
            }
            return found
        }
    }

    /// The worker's share of the sockets at an address; nothing when there is none or they are not what is wanted.
    ///
    /// Workers that are now fewer than before take several each: connections that wait in a socket's queue are served, and
    /// none goes to a socket on which nobody accepts. Workers that are more open sockets of their own.
    func take(_ listener: KeptListener, worker: Int, sharesPort: Bool) -> [Int32] {
        contents.withLock { contents in
            guard let all = contents.sockets[listener] else { return [] }
            guard all.allSatisfy({ $0 < 0 || listener.isServed(by: $0, sharesPort: sharesPort) }) else {
                contents.sockets[listener] = nil
                for fd in all where fd >= 0 {
                    contents.count -= 1
                    // One of ours from before the configuration changed would bar the way for the new one.
                    if Socket.localAddress(fd) == listener.address { Socket.stopListening(fd) }
                    close(fd)
                }
                return []
            }
            var share: [Int32] = []
            for (position, fd) in all.enumerated() where fd >= 0 && position % workerCount == worker {
                share.append(fd)
                contents.sockets[listener]?[position] = -1
                contents.count -= 1
            }
            return share
        }
    }

    /// Closes what nobody took; how many there were.
    @discardableResult
    func closeAll() -> Int {
        contents.withLock { contents in
            for fd in contents.sockets.values.joined() where fd >= 0 { close(fd) }
            for entry in contents.paths.values { close(entry.fd) }
            defer { contents = Contents() }
            return contents.count
        }
    }
}
