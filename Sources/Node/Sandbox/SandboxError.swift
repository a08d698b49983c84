import Glibc

/// Why a sandbox could not do what it was asked for.
package struct SandboxError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// The pod could not be made.
        case creationFailed
        /// The program of a container could not be started: the message is the reason as the kernel gave it.
        case startFailed
        /// The pod init refused a request.
        case refused
        /// The pod has ended.
        case ended
        /// The pod init did not answer in time.
        case timedOut
        /// A socket could not be made or connected.
        case socket
    }

    package let code: Code
    package let message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    /// The system's text for an errno.
    static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
