import Glibc

/// A system call that failed: which one, on what, and the kernel's number for the cause.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kernel's error number.
    public let code: Int32
    /// The call and its object, e.g. `listen on 127.0.0.1:80`.
    public let operation: String

    public init(code: Int32, operation: String) {
        self.code = code
        self.operation = operation
    }

    public var description: String { "\(operation): \(Self.text(code))" }

    /// The kernel's text for an error number.
    public static func text(_ code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }

    /// The value of a call that answers `-errno`, or the failure.
    @discardableResult
    package static func check<Number: FixedWidthInteger & SignedInteger>(
        _ result: Number,
        _ operation: @autoclosure () -> String
    ) throws(SystemError) -> Number {
        guard result < 0 else { return result }
        throw SystemError(code: Int32(truncatingIfNeeded: 0 - result), operation: operation())
    }
}
