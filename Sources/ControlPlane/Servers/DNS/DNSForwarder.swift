import CWeft
import Glibc
import Reactor

/// Asks the machine's resolvers for names that are not ours.
///
/// A fresh socket per question (a random port), a random id, and an answer must repeat the question exactly: all that keeps
/// forged answers out. Lives on the loop's thread.
final class DNSForwarder {
    /// Questions under way at once; more are answered with a failure.
    private static let mostPending = 256

    private var resolvers: [SocketAddress]
    private var configuration: ResolverConfiguration?
    private var pending: [ObjectIdentifier: DNSExchange] = [:]

    /// - Parameter resolvers: nil = those of the machine, read again when they change.
    init(resolvers: [SocketAddress]?) {
        self.resolvers = Array((resolvers ?? []).prefix(3))
        if resolvers == nil { configuration = ResolverConfiguration() }
    }

    /// Calls `done` once, with an answer under the client's own id, or with nil.
    func forward(
        _ query: DNSQuery,
        _ bytes: [UInt8],
        overTCP: Bool,
        _ loop: HandlerLoop,
        _ done: @escaping ([UInt8]?) -> Void
    ) {
        if let fresh = configuration?.changed() { resolvers = fresh }
        guard !resolvers.isEmpty, pending.count < Self.mostPending else { return done(nil) }
        let exchange = DNSExchange(query: query, bytes: bytes, overTCP: overTCP, resolvers: resolvers, loop: loop)
        pending[ObjectIdentifier(exchange)] = exchange
        exchange.start { [weak self, weak exchange] answer in
            if let exchange { self?.pending[ObjectIdentifier(exchange)] = nil }
            done(answer)
        }
    }

    /// An answer that sends the client to TCP.
    static func truncated(_ query: DNSQuery) -> [UInt8] {
        var bytes = DNSWriter.answer(query, .records([], additional: []), limit: 512)
        bytes[2] |= 0x02
        return bytes
    }
}

/// One question to the resolvers, one after the other.
private final class DNSExchange: EventHandler {
    /// `resolv.conf(5)` gives a resolver 5 seconds; a pod's client asks again after as many.
    private static let milliseconds: UInt64 = 2000
    private static let largestAnswer = 65_535

    private let query: DNSQuery
    private let overTCP: Bool
    private var resolvers: ArraySlice<SocketAddress>
    private unowned let loop: HandlerLoop
    private var question: [UInt8]
    private var done: (([UInt8]?) -> Void)?
    private var fd: Int32 = -1
    private var key: HandlerKey?
    private var hasSent = false
    private var input: [UInt8] = []

    init(query: DNSQuery, bytes: [UInt8], overTCP: Bool, resolvers: [SocketAddress], loop: HandlerLoop) {
        self.query = query
        self.overTCP = overTCP
        self.resolvers = resolvers[...]
        self.loop = loop
        question = bytes
    }

    func start(_ done: @escaping ([UInt8]?) -> Void) {
        self.done = done
        tryNext()
    }

    private func tryNext() {
        close()
        while let resolver = resolvers.popFirst() {
            let type = overTCP ? SOCK_STREAM : SOCK_DGRAM
            let made = cweft_socket(resolver.isIPv6 ? AF_INET6 : AF_INET, Int32(type.rawValue), -1)
            guard made >= 0 else { continue }
            var native = resolver.native
            let result = cweft_connect(made, &native)
            guard result == 0 || result == -EINPROGRESS, let added = try? loop.add(made, [.read, .write], self) else {
                Glibc.close(made)
                continue
            }
            (fd, key, hasSent, input) = (made, added, false, [])
            let id = UInt16.random(in: 0...UInt16.max)
            question[0] = UInt8(id >> 8)
            question[1] = UInt8(id & 0xFF)
            loop.setTimer(added, Instant.read().advanced(byMilliseconds: Self.milliseconds))
            return
        }
        finish(nil)
    }

    func timerFired() { tryNext() }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.write), !hasSent {
            let length = UInt16(clamping: question.count)
            let bytes = overTCP ? [UInt8(length >> 8), UInt8(length & 0xFF)] + question : question
            guard send(fd, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else { return tryNext() }
            hasSent = true
            if let key { loop.change(key, .read) }
        }
        guard !readiness.isDisjoint(with: [.read, .failed, .hungUp]) else { return }
        var buffer = [UInt8](repeating: 0, count: Self.largestAnswer)
        let count = recv(fd, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return tryNext() }
        overTCP ? takeStream(buffer[..<count]) : take(Array(buffer[..<count]))
    }

    private func takeStream(_ bytes: ArraySlice<UInt8>) {
        input += bytes
        guard input.count >= 2 else { return }
        let length = Int(input[0]) << 8 | Int(input[1])
        guard input.count >= 2 + length else { return }
        take(Array(input[2..<2 + length]))
    }

    /// Accepts only an answer with the id and the question that were sent; others are waited out.
    private func take(_ answer: [UInt8]) {
        let section = query.question
        guard answer.count >= 12 + section.count, answer[0] == question[0], answer[1] == question[1],
            answer[2] & 0x80 != 0, answer[4] == 0, answer[5] == 1,
            answer[12..<12 + section.count].elementsEqual(section)
        else { return }
        var answer = answer
        answer[0] = UInt8(query.id >> 8)
        answer[1] = UInt8(query.id & 0xFF)
        finish(answer)
    }

    private func finish(_ answer: [UInt8]?) {
        close()
        let done = done
        self.done = nil
        done?(answer)
    }

    private func close() {
        if let key { loop.remove(key) }
        if fd >= 0 { Glibc.close(fd) }
        (fd, key) = (-1, nil)
    }
}

/// The machine's own resolvers.
struct ResolverConfiguration {
    private var seen = timespec(tv_sec: -1, tv_nsec: 0)
    private var inode: ino_t = 0

    /// The resolvers when the file is another one than at the last call.
    mutating func changed(path: String = "/etc/resolv.conf") -> [SocketAddress]? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let time = status.st_mtim
        guard time.tv_sec != seen.tv_sec || time.tv_nsec != seen.tv_nsec || status.st_ino != inode else { return nil }
        (seen, inode) = (time, status.st_ino)
        return Self.nameservers(path: path)
    }

    /// The `nameserver` lines of `/etc/resolv.conf`, at most three (`resolv.conf(5)`).
    static func nameservers(path: String = "/etc/resolv.conf") -> [SocketAddress] {
        guard let file = fopen(path, "re") else { return [] }
        defer { fclose(file) }
        var found: [SocketAddress] = []
        var line = [CChar](repeating: 0, count: 1024)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            let words = text.split(whereSeparator: \.isWhitespace)
            guard words.count >= 2, words[0] == "nameserver" else { continue }
            if let address = SocketAddress(String(words[1]), port: 53) { found.append(address) }
        }
        return Array(found.prefix(3))
    }
}
