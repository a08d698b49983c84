import Images
import Resources

/// What an error says to the user of the command line.
package enum Messages {
    package static func text(of error: any Error) -> String {
        switch error {
        case let error as CommandError: error.message
        case let error as UsageError: error.message
        case let error as APIError: error.message
        case let error as ImageError: error.message
        default: "\(error)"
        }
    }
}
