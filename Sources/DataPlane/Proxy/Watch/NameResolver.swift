import Bytes
import CWeft
import Glibc
import Reactor

/// Looks up host names of STRICT_DNS and LOGICAL_DNS clusters on a thread of its own, again and again.
///
/// A failed look-up keeps the last good addresses.
final class NameResolver: Sendable {
    /// Between two look-ups of a name (Envoy's `dns_refresh_rate` default is 5 s).
    private static let interval: UInt32 = 5

    private struct State {
        var names: Set<String> = []
        var isStarted = false
        var hasNews = false
    }
    private let state = Lock(State())
    private let inbox: ControlInbox

    /// A resolver that posts `.resolved` for each look-up, without addresses when it failed.
    init(inbox: ControlInbox) { self.inbox = inbox }

    /// The names to look up from now on. The thread starts with the first one.
    func setNames(_ names: Set<String>) {
        let start = state.withLock { state in
            guard state.names != names else { return false }
            state.hasNews = !names.isSubset(of: state.names)
            state.names = names
            defer { state.isStarted = state.isStarted || !names.isEmpty }
            return !state.isStarted && !names.isEmpty
        }
        if start { SystemThread.start(name: "resolver") { self.run() } }
    }

    private func run() {
        while true {
            let names = state.withLock { state in
                state.hasNews = false
                return state.names
            }
            for name in names.sorted() {
                let addresses = Self.lookUp(name)
                if addresses.isEmpty {
                    inbox.post(.log(.warning, "the host name \(name) has no address; the last known ones stay"))
                }
                inbox.post(.resolved(name: name, addresses: addresses))
            }
            // New names are not kept waiting.
            for _ in 0..<(Self.interval * 10) where !state.withLock({ $0.hasNews }) { usleep(100_000) }
        }
    }

    /// The addresses of a name, in a fixed order so that equal answers are equal.
    static func lookUp(_ name: String) -> [Address] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let result = getnameinfo(
                entry.pointee.ai_addr,
                entry.pointee.ai_addrlen,
                &text,
                socklen_t(text.count),
                nil,
                0,
                NI_NUMERICHOST
            )
            if result == 0 {
                let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                if !found.contains(address) { found.append(address) }
            }
            next = entry.pointee.ai_next
        }
        return found.sorted().compactMap { Address(literal: $0, port: 0) }
    }
}
