import CWeft
import Glibc

/// A thread of the operating system, started with a name.
public enum SystemThread {
    /// Runs `body` on a new, detached thread, bound to `processor` when one is named. False when none can be made.
    @discardableResult
    public static func start(name: String, processor: Int? = nil, body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(ThreadBody(name: name, processor: processor, body: body))
        var thread = pthread_t()
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        defer { pthread_attr_destroy(&attributes) }
        let result = pthread_create(&thread, &attributes, runThread, box.toOpaque())
        // Safety: the new thread takes the reference over; when there is none, it is given back here.
        if result != 0 { box.release() }
        return result == 0
    }

    /// Processors that this process may use.
    public static var processorCount: Int { Int(cweft_processor_count()) }
}

private final class ThreadBody: Sendable {
    let name: String
    let processor: Int?
    let body: @Sendable () -> Void

    init(name: String, processor: Int?, body: @escaping @Sendable () -> Void) {
        self.name = name
        self.processor = processor
        self.body = body
    }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let thread = Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
    cweft_name_thread(thread.name)
    if let processor = thread.processor { cweft_pin_thread(Int32(processor)) }
    thread.body()
    return nil
}
