import Glibc
package import Reactor

/// Holds the proxy's listening sockets while there is no proxy: the kernel goes on to queue new connections, and the next
/// proxy takes the sockets over and serves them.
///
/// Its state lives on `LoopThread.shared`. Only processes of this user or root are heard.
package final class ListenerKeeper: Sendable {
    /// Sockets held at most: of more, the proxy's own copies are the only ones.
    package static let mostSockets = 16_384

    private let core = ListenerKeeperCore()

    package init() {}

    /// Listens for the proxy at a path.
    package func listen(_ path: String) async throws(SystemError) {
        let core = core
        try await LoopThread.shared.run { loop throws(SystemError) in
            let fd = try DescriptorDoor.listen(path)
            core.door = try DescriptorDoor(fd, loop: loop) { core.take($0) }
        }
    }

    /// Closes all copies and takes no more: the proxy is about to end for good.
    package func shutdown() async {
        let core = core
        await LoopThread.shared.run { _ in core.shutdown() }
    }

    /// Sockets held now.
    package var count: Int {
        get async {
            let core = core
            return await LoopThread.shared.run { _ in core.held.count }
        }
    }
}

/// The keeper's state.
///
/// Safety: every stored property is touched on `LoopThread.shared`'s thread only.
private final class ListenerKeeperCore: @unchecked Sendable {
    struct Entry {
        let listener: KeptListener
        let fd: Int32
        /// The present proxy has it open; else it waits to be taken over.
        var isClaimed: Bool
    }

    /// By inode: a socket that comes twice, from the proxy before and from the present one, is held once.
    private(set) var held: [UInt64: Entry] = [:]
    var door: DescriptorDoor?
    private var channel: DescriptorChannel?

    /// A proxy came: from now on it is the one that is heard.
    func take(_ channel: DescriptorChannel) {
        self.channel?.close()
        self.channel = channel
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
        }
    }

    /// False: the descriptor is not wanted.
    private func take(_ message: KeeperMessage, _ fd: Int32, _ channel: DescriptorChannel) -> Bool {
        switch message {
        case .hello(let wantsSockets):
            if wantsSockets { giveAll(channel) }
        case .hold(let listener): return hold(listener, fd)
        case .drop(let inode): drop(inode)
        case .claimed:
            for (inode, entry) in held where !entry.isClaimed { drop(inode) }
        case .release:
            for inode in Array(held.keys) { drop(inode) }
        case .held, .end: break
        }
        return fd < 0
    }

    private func giveAll(_ channel: DescriptorChannel) {
        for entry in held.values {
            let fd = Socket.duplicate(entry.fd)
            if fd >= 0 { channel.send(KeeperMessage.held(entry.listener).bytes, fd) }
        }
        channel.send(KeeperMessage.end.bytes)
    }

    private func hold(_ listener: KeptListener, _ fd: Int32) -> Bool {
        guard fd >= 0, Socket.isListening(fd), let inode = Socket.inode(fd) else { return false }
        if let old = held[inode] {
            close(old.fd)
        } else {
            guard held.count < ListenerKeeper.mostSockets else { return false }
        }
        held[inode] = Entry(listener: listener, fd: fd, isClaimed: true)
        return true
    }

    private func drop(_ inode: UInt64) {
        guard let entry = held.removeValue(forKey: inode) else { return }
        close(entry.fd)
    }

    func shutdown() {
        door?.close()
        door = nil
        channel?.close()
        channel = nil
        for inode in Array(held.keys) { drop(inode) }
    }
}
