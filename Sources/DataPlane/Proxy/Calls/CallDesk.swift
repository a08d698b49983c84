/// Calls and streams of the main thread: carried out by the first worker, which tells what came of them.
///
/// Belongs to the main thread's loop. A handler may begin, send and cancel.
final class CallDesk {
    /// What becomes of a stream, told to its owner.
    enum StreamEvent {
        /// An endpoint has taken the stream.
        case begun(CallFields)
        case message([UInt8])
        /// The last event. `failure` is set where its end did not come from the endpoint.
        case ended(CallAnswer)
    }

    private enum Handler {
        case call((CallAnswer) -> Void)
        case stream((StreamEvent) -> Void)
    }

    private let send: (WorkerCommand) -> Void
    private var handlers: [UInt64: Handler] = [:]
    private var nextID: UInt64 = 1

    /// - Parameter send: hands a command to the worker that carries the calls.
    init(send: @escaping (WorkerCommand) -> Void) { self.send = send }

    /// Calls an endpoint of a cluster. `then` is called once, later.
    ///
    /// - Returns: a number for `cancel`.
    @discardableResult
    func call(_ cluster: String, _ request: CallRequest, then: @escaping (CallAnswer) -> Void) -> UInt64 {
        begin(.call(then), .call(cluster: cluster, request))
    }

    /// Opens a stream to an endpoint of a cluster. `handler` hears of everything that comes, and of the end once.
    ///
    /// - Returns: the stream's number, with which it is spoken to.
    func openStream(
        _ cluster: String,
        _ request: CallRequest,
        _ handler: @escaping (StreamEvent) -> Void
    ) -> UInt64 {
        begin(.stream(handler), .open(cluster: cluster, request))
    }

    private func begin(_ handler: Handler, _ what: CallCommand.What) -> UInt64 {
        let id = nextID
        nextID += 1
        handlers[id] = handler
        send(.call(CallCommand(id: id, what: what)))
        return id
    }

    /// Sends a message on a stream, behind those before. It need not have begun.
    func send(_ message: [UInt8], on id: UInt64) { tell(id, .send(message)) }

    /// Nothing more will be sent on a stream.
    func finish(_ id: UInt64) { tell(id, .finish) }

    /// Gives up a call or a stream: nothing more is heard of it.
    func cancel(_ id: UInt64) {
        tell(id, .cancel)
        handlers[id] = nil
    }

    private func tell(_ id: UInt64, _ what: CallCommand.What) {
        guard handlers[id] != nil else { return }
        send(.call(CallCommand(id: id, what: what)))
    }

    /// Takes what a worker says.
    func take(_ event: CallEvent) {
        guard let handler = handlers[event.id] else { return }
        switch (handler, event.what) {
        case (.call(let then), .answered(let answer)):
            handlers[event.id] = nil
            then(answer)
        case (.stream(let handle), .begun(let fields)): handle(.begun(fields))
        case (.stream(let handle), .message(let message)):
            let count = message.count + 5
            handle(.message(message))
            tell(event.id, .taken(count))
        case (.stream(let handle), .ended(let answer)):
            handlers[event.id] = nil
            handle(.ended(answer))
        default: break
        }
    }
}
