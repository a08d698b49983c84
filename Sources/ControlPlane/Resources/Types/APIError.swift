package import Wire

/// What the API answers when it refuses: a Kubernetes `Status` with code, reason and a message for people.
package struct APIError: Error, Sendable, Equatable {
    /// The HTTP status code.
    package let code: Int
    package let reason: Reason
    package let message: String
    /// Which object, and for `Invalid` which fields.
    package var details: Details?

    package enum Reason: String, Sendable {
        case badRequest = "BadRequest"
        case unauthorized = "Unauthorized"
        case forbidden = "Forbidden"
        case notFound = "NotFound"
        case methodNotAllowed = "MethodNotAllowed"
        case notAcceptable = "NotAcceptable"
        case alreadyExists = "AlreadyExists"
        case conflict = "Conflict"
        case gone = "Gone"
        case expired = "Expired"
        case requestEntityTooLarge = "RequestEntityTooLarge"
        case unsupportedMediaType = "UnsupportedMediaType"
        case invalid = "Invalid"
        case tooManyRequests = "TooManyRequests"
        case internalError = "InternalError"
        case serviceUnavailable = "ServiceUnavailable"
        case insufficientStorage = "InsufficientStorage"
        case timeout = "Timeout"
        case unknown = "Unknown"
    }

    /// The object and the fields that an error is about.
    package struct Details: Sendable, Equatable {
        package var name = ""
        package var group = ""
        /// The plural of the resource, as Kubernetes has it.
        package var kind = ""
        package var uid = ""
        package var causes: [FieldError] = []
        package var retryAfterSeconds: Int?

        package init() {}
    }

    package init(code: Int, reason: Reason, message: String, details: Details? = nil) {
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
    }
}

extension APIError: CustomStringConvertible {
    package var description: String { message }
}

/// One field that is wrong, by its path: `spec.template.spec.containers[0].image`.
package struct FieldError: Sendable, Equatable, CustomStringConvertible {
    package enum Reason: String, Sendable {
        case required = "FieldValueRequired"
        case invalid = "FieldValueInvalid"
        case duplicate = "FieldValueDuplicate"
        case notSupported = "FieldValueNotSupported"
        case forbidden = "FieldValueForbidden"
        case typeInvalid = "FieldValueTypeInvalid"
        case notFound = "FieldValueNotFound"
        case tooLong = "FieldValueTooLong"
        case tooMany = "FieldValueTooMany"
        case unknownField = "UnknownField"
        case fieldManagerConflict = "FieldManagerConflict"
        case resourceVersionTooLarge = "ResourceVersionTooLarge"
    }

    package let path: String
    package let reason: Reason
    /// What is wrong, without the path: `Required value`, `Invalid value: "-1": must be between 0 and 65535`.
    package let message: String

    package init(_ path: String, _ reason: Reason, _ message: String) {
        self.path = path
        self.reason = reason
        self.message = message
    }

    package var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

// The errors of the API in Kubernetes' words.
extension APIError {
    private static func about(_ type: ResourceType, _ name: String) -> Details {
        var details = Details()
        details.name = name
        details.group = type.group
        details.kind = type.plural
        return details
    }

    package static func notFound(_ type: ResourceType, _ name: String) -> APIError {
        APIError(
            code: 404,
            reason: .notFound,
            message: "\(type.qualifiedPlural) \"\(name)\" not found",
            details: about(type, name)
        )
    }

    package static func alreadyExists(_ type: ResourceType, _ name: String) -> APIError {
        APIError(
            code: 409,
            reason: .alreadyExists,
            message: "\(type.qualifiedPlural) \"\(name)\" already exists",
            details: about(type, name)
        )
    }

    package static func conflict(_ type: ResourceType, _ name: String, _ why: String) -> APIError {
        APIError(
            code: 409,
            reason: .conflict,
            message: "Operation cannot be fulfilled on \(type.qualifiedPlural) \"\(name)\": \(why)",
            details: about(type, name)
        )
    }

    package static func invalid(_ type: ResourceType, _ name: String, _ errors: [FieldError]) -> APIError {
        let list = errors.map(\.description)
        var details = about(type, name)
        details.kind = type.kind
        details.causes = errors
        let kind = type.group.isEmpty ? type.kind : "\(type.kind).\(type.group)"
        return APIError(
            code: 422,
            reason: .invalid,
            message: "\(kind) \"\(name)\" is invalid: "
                + (list.count == 1 ? list[0] : "[\(list.joined(separator: ", "))]"),
            details: details
        )
    }

    package static func forbidden(_ type: ResourceType, _ name: String, _ why: String) -> APIError {
        APIError(
            code: 403,
            reason: .forbidden,
            message: "\(type.qualifiedPlural) \"\(name)\" is forbidden: \(why)",
            details: about(type, name)
        )
    }

    package static func badRequest(_ message: String) -> APIError {
        APIError(code: 400, reason: .badRequest, message: message)
    }

    package static func expired(_ message: String) -> APIError {
        APIError(code: 410, reason: .expired, message: message)
    }

    /// A revision that is not written yet: whoever asks may come again, or knows the revisions of another store.
    package static func tooLargeVersion(_ version: Int64, current: Int64) -> APIError {
        var details = Details()
        details.causes = [FieldError("", .resourceVersionTooLarge, "Too large resource version")]
        details.retryAfterSeconds = 1
        return APIError(
            code: 504,
            reason: .timeout,
            message: "Timeout: Too large resource version: \(version), current: \(current)",
            details: details
        )
    }

    package static func notAcceptable(_ message: String) -> APIError {
        APIError(code: 406, reason: .notAcceptable, message: message)
    }

    package static func internalError(_ message: String) -> APIError {
        APIError(code: 500, reason: .internalError, message: "Internal error occurred: \(message)")
    }

    package static func unavailable(_ message: String) -> APIError {
        APIError(code: 503, reason: .serviceUnavailable, message: message)
    }

    /// There is no room to store anything: 507 of RFC 4918, for which Kubernetes has no reason of its own.
    package static func insufficientStorage(_ message: String) -> APIError {
        APIError(code: 507, reason: .insufficientStorage, message: message)
    }
}

// The `Status` object on the wire.
extension APIError {
    /// The `Status` object that carries this error.
    package var status: Value {
        var status: Value = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
            "reason": .string(reason.rawValue),
        ]
        if let details { status["details"] = details.value }
        status["code"] = .int(Int64(code))
        return status
    }

    /// Reads a `Status` that a server answered; nil when the value is none or reports success.
    package init?(status: Value) {
        guard status.text("kind") == "Status", status.text("status") != "Success" else { return nil }
        let code = status.integer("code") ?? 500
        self.init(
            code: code,
            reason: status.text("reason").flatMap(Reason.init(rawValue:)) ?? .unknown,
            message: status.text("message") ?? "the server answered with code \(code) and no message",
            details: status["details"].map(Details.init)
        )
    }
}

extension APIError.Details {
    fileprivate init(_ value: Value) {
        self.init()
        name = value.text("name") ?? ""
        group = value.text("group") ?? ""
        kind = value.text("kind") ?? ""
        uid = value.text("uid") ?? ""
        retryAfterSeconds = value.integer("retryAfterSeconds")
        causes = value.list("causes").map {
            FieldError(
                $0.text("field") ?? "",
                $0.text("reason").flatMap(FieldError.Reason.init(rawValue:)) ?? .invalid,
                $0.text("message") ?? ""
            )
        }
    }

    fileprivate var value: Value {
        var result: Value = [:]
        for (field, text) in [("name", name), ("group", group), ("kind", kind), ("uid", uid)] where !text.isEmpty {
            result[field] = .string(text)
        }
        if !causes.isEmpty {
            result["causes"] = .array(
                causes.map {
                    [
                        "reason": .string($0.reason.rawValue), "message": .string($0.message),
                        "field": .string($0.path),
                    ]
                }
            )
        }
        if let retryAfterSeconds { result["retryAfterSeconds"] = .int(Int64(retryAfterSeconds)) }
        return result
    }
}
