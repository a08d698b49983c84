import Glibc

/// Holds the proxy's listening sockets while there is no proxy: the kernel goes on to queue new connections, and the next
/// proxy takes the sockets over and serves them.
///
/// Belongs to its loop's thread. Only processes of this user or root are heard.
package final class ListenerKeeper: EventHandler {
    /// Sockets held at most: of more, the proxy's own copies are the only ones.
    package static let mostSockets = 16_384

    struct Entry {
        /// What the next proxy is told of it.
        let name: KeeperMessage
        let fd: Int32
        /// The present proxy has it open; else it waits to be taken over.
        var isClaimed: Bool
    }

    /// By inode: a socket that comes twice, from the proxy before and from the present one, is held once.
    private(set) var held: [UInt64: Entry] = [:]
    private let loop: HandlerLoop
    private let patience: UInt64
    private var door: DescriptorDoor?
    private var channel: DescriptorChannel?
    /// Proxies before the present one that still end their work: what they say changes nothing.
    private var leaving: [DescriptorChannel] = []
    private var key: HandlerKey?
    /// Called when the present proxy says that it serves.
    package var onReady: () -> Void = {}

    /// Somebody is there who starts the next proxy.
    package var isAttended = true { didSet { wait() } }
    /// A proxy is there.
    package var hasProxy: Bool { channel != nil }
    /// Sockets held now.
    package var count: Int { held.count }

    /// Hears proxies at a listening socket, which belongs to the keeper from now on. With neither a proxy nor anybody who would
    /// start one, connections wait for `patience` milliseconds and are then refused.
    package init(
        _ socket: Int32,
        loop: HandlerLoop,
        patience milliseconds: UInt64 = 10_000
    ) throws(SystemError) {
        self.loop = loop
        patience = milliseconds
        key = try loop.add(-1, [], self)
        door = try DescriptorDoor(socket, loop: loop) { [unowned self] in take($0) }
    }

    /// A proxy came: from now on it is the one that is heard.
    private func take(_ channel: DescriptorChannel) {
        if let old = self.channel { setAside(old) }
        self.channel = channel
        wait()
        for inode in held.keys { held[inode]?.isClaimed = false }
        channel.onMessage = { [unowned self, unowned channel] bytes, fd in
            guard let message = KeeperMessage(bytes), take(message, fd, channel) else {
                if fd >= 0 { close(fd) }
                return
            }
        }
        channel.onEnd = { [weak self, weak channel] in
            guard let self, self.channel === channel else { return }
            self.channel = nil
            // The proxy before it goes on if there is one: it connects again and tells what it has.
            for old in leaving { old.close() }
            leaving = []
            wait()
        }
    }

    private func setAside(_ old: DescriptorChannel) {
        leaving.append(old)
        old.onMessage = { _, fd in if fd >= 0 { close(fd) } }
        old.onEnd = { [weak self, weak old] in self?.leaving.removeAll { $0 === old } }
    }

    /// False: the descriptor is not wanted.
    private func take(_ message: KeeperMessage, _ fd: Int32, _ channel: DescriptorChannel) -> Bool {
        switch message {
        case .hello(let wantsSockets):
            if wantsSockets { giveAll(channel) }
        case .hold(let listener): return hold(.held(listener), fd)
        case .holdPath(let path): return hold(.heldPath(path), fd)
        case .drop(let inode): drop(inode)
        case .claimed:
            for (inode, entry) in held where !entry.isClaimed { drop(inode) }
        case .release: dropAll()
        case .ready: onReady()
        case .held, .heldPath, .end: break
        }
        return fd < 0
    }

    private func giveAll(_ channel: DescriptorChannel) {
        for entry in held.values {
            let fd = Socket.duplicate(entry.fd)
            if fd >= 0 { channel.send(entry.name.bytes, fd) }
        }
        channel.send(KeeperMessage.end.bytes)
    }

    private func hold(_ name: KeeperMessage, _ fd: Int32) -> Bool {
        guard fd >= 0, Socket.isListening(fd), let inode = Socket.inode(fd) else { return false }
        if let old = held[inode] {
            close(old.fd)
        } else {
            guard held.count < Self.mostSockets else { return false }
        }
        held[inode] = Entry(name: name, fd: fd, isClaimed: true)
        return true
    }

    private func drop(_ inode: UInt64) {
        guard let entry = held.removeValue(forKey: inode) else { return }
        close(entry.fd)
        if case .heldPath(let path) = entry.name { path.removeFile() }
    }

    /// Closes all copies and takes no more: the proxy is about to end for good.
    package func shutdown() {
        door?.close()
        door = nil
        channel?.close()
        channel = nil
        for old in leaving { old.close() }
        leaving = []
        if let key { loop.remove(key) }
        key = nil
        dropAll()
    }

    private func dropAll() {
        for inode in Array(held.keys) { drop(inode) }
    }

    // MARK: The wait for a proxy

    private func wait() {
        guard let key else { return }
        let isAwaited = isAttended || hasProxy || held.isEmpty
        loop.setTimer(key, isAwaited ? nil : Instant.read().advanced(byMilliseconds: patience))
    }

    package func timerFired() {
        if !isAttended, !hasProxy { dropAll() }
    }

    package func ready(_ readiness: Readiness) {}
}
