import HTTP
import Reactor

/// One call on a connection.
///
/// Safety: every stored property is touched on `LoopThread.shared`'s thread only; tasks reach it by posting there.
final class GRPCStream: @unchecked Sendable {
    /// Whole messages that wait for the handler; beyond that the client's window is not opened again.
    private static let waitingLimit = 8
    /// A writer waits while more than this is unsent.
    private static let highWater = 256 << 10

    private let number: Int32
    /// Nil when the call has ended.
    private var connection: GRPCConnection?
    private var deframer: GRPCDeframer
    private var waiting: [[UInt8]] = []
    private var owed = 0
    private var reader: CheckedContinuation<[UInt8]?, Never>?
    private var inputIsOver = false
    private var output: [UInt8] = []
    private var sent = 0
    private var writers: [CheckedContinuation<Bool, Never>] = []
    private var status: GRPCStatus?
    private var task: Task<Void, Never>?

    init(_ number: Int32, _ connection: GRPCConnection, limit: Int) {
        self.number = number
        self.connection = connection
        deframer = GRPCDeframer(limit: limit)
    }

    func start(_ handler: @escaping GRPCServer.Handler, _ call: GRPCCall) {
        task = Task {
            let status = await handler(call)
            LoopThread.shared.post { _ in self.finish(status) }
        }
    }

    // MARK: what comes

    func received(_ bytes: UnsafeRawBufferPointer) {
        deframer.append(bytes)
        owed += bytes.count
        do throws(GRPCStatus) {
            while let message = try deframer.next() { waiting.append(message) }
        } catch {
            return finish(error)
        }
        deliver()
        giveBack()
    }

    func inputEnded() {
        inputIsOver = true
        deliver()
    }

    private func deliver() {
        guard let reader else { return }
        if !waiting.isEmpty {
            self.reader = nil
            reader.resume(returning: waiting.removeFirst())
        } else if inputIsOver {
            self.reader = nil
            reader.resume(returning: nil)
        }
    }

    /// Opens the client's window again for what was read, unless too much waits.
    private func giveBack() {
        guard waiting.count <= Self.waitingLimit, owed > 0 else { return }
        let count = owed
        owed = 0
        connection?.consume(number, count)
    }

    func next() async -> [UInt8]? {
        await withCheckedContinuation { reader in
            LoopThread.shared.post { _ in self.read(reader) }
        }
    }

    private func read(_ reader: CheckedContinuation<[UInt8]?, Never>) {
        guard connection != nil, self.reader == nil else { return reader.resume(returning: nil) }
        self.reader = reader
        deliver()
        giveBack()
    }

    // MARK: what goes

    func send(_ message: [UInt8]) async -> Bool {
        await withCheckedContinuation { ready in
            LoopThread.shared.post { _ in self.write(message, ready) }
        }
    }

    private func write(_ message: [UInt8], _ ready: CheckedContinuation<Bool, Never>) {
        guard let connection, status == nil else { return ready.resume(returning: false) }
        output += GRPCDeframer.head(message.count)
        output += message
        writers.append(ready)
        connection.resume(number)
        resumeWriters()
    }

    private func resumeWriters() {
        guard !writers.isEmpty, output.count - sent <= Self.highWater || connection == nil else { return }
        let ready = writers
        writers = []
        for writer in ready { writer.resume(returning: connection != nil) }
    }

    /// Ends the call: what was sent before still goes out, then the status.
    private func finish(_ end: GRPCStatus) {
        guard let connection, status == nil else { return }
        status = end
        // A handler that still reads hears no more.
        waiting = []
        inputEnded()
        connection.resume(number)
    }

    func supply(_ limit: Int, _ flags: UnsafeMutablePointer<UInt32>, _ session: HTTP2Session) -> Int {
        let rest = output.count - sent
        if rest <= limit, let status {
            let trailers = Array(status.trailers.utf8)
            let isSent = trailers.withUnsafeBytes { bytes in
                bytes.baseAddress.map { session.sendTrailers(number, $0, bytes.count) } ?? false
            }
            flags.pointee = isSent ? HTTP2Supply.trailersFollow : HTTP2Supply.ends
            return rest
        }
        return rest > 0 ? min(rest, limit) : -1
    }

    func copy(to memory: UnsafeMutableRawPointer, _ count: Int) {
        output.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, sent + count <= bytes.count else { return }
            memory.copyMemory(from: base + sent, byteCount: count)
        }
        sent += count
        if sent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= Self.highWater)
            sent = 0
        } else if sent > Self.highWater {
            output.removeFirst(sent)
            sent = 0
        }
        resumeWriters()
    }

    /// The call is over, in order or not: the handler is cancelled, and nobody waits any more.
    func ended() {
        guard connection != nil else { return }
        connection = nil
        inputIsOver = true
        waiting = []
        task?.cancel()
        task = nil
        reader?.resume(returning: nil)
        reader = nil
        resumeWriters()
    }
}
