import Resources
import Wire

/// A named format of Kubernetes that a text may have.
package enum CELFormat: String, Sendable, CaseIterable {
    case dns1123Label, dns1123Subdomain, dns1035Label, qualifiedName, dns1123LabelPrefix, dns1123SubdomainPrefix
    case dns1035LabelPrefix, labelValue, uri, uuid, byte, date, datetime

    /// What is wrong with a text; empty when it has the format.
    func problems(_ text: String) -> [String] {
        switch self {
        case .dns1123Label: Self.name(text, limit: 63, Self.isLabel, Self.labelRule)
        case .dns1123LabelPrefix: Self.name(Self.withoutDash(text), limit: 63, Self.isLabel, Self.labelRule)
        case .dns1035Label: Self.name(text, limit: 63, Self.isOldLabel, Self.oldLabelRule)
        case .dns1035LabelPrefix: Self.name(Self.withoutDash(text), limit: 63, Self.isOldLabel, Self.oldLabelRule)
        case .dns1123Subdomain: Self.name(text, limit: 253, Self.isSubdomain, Self.subdomainRule)
        case .dns1123SubdomainPrefix:
            Self.name(Self.withoutDash(text), limit: 253, Self.isSubdomain, Self.subdomainRule)
        case .qualifiedName: Self.qualified(text)
        case .labelValue: text.isEmpty ? [] : Self.name(text, limit: 63, Self.isName, Self.valueRule)
        case .uri: CELURL(text) == nil ? ["invalid URI for request"] : []
        case .uuid: Self.isUUID(text) ? [] : ["does not match the UUID format"]
        case .byte: Base64.decode(text) == nil ? ["invalid base64"] : []
        case .date: CELTime.timestamp(text + "T00:00:00Z") == nil ? ["invalid date"] : []
        case .datetime: CELTime.timestamp(text) == nil ? ["invalid datetime"] : []
        }
    }

    private static let labelRule =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
        + "an alphanumeric character"
    private static let oldLabelRule =
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
        + "end with an alphanumeric character"
    private static let subdomainRule =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
        + "end with an alphanumeric character"
    private static let nameRule =
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
        + "character"
    private static let valueRule =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
        + "end with an alphanumeric character"

    private static func name(_ text: String, limit: Int, _ fits: (Substring.UTF8View) -> Bool, _ rule: String)
        -> [String]
    {
        var problems: [String] = []
        if text.utf8.count > limit { problems.append("must be no more than \(limit) bytes") }
        if !fits(Substring(text).utf8) { problems.append(rule) }
        return problems
    }

    private static func withoutDash(_ text: String) -> String { text.hasSuffix("-") ? text.dropLast() + "a" : text }

    private static func isLower(_ byte: UInt8) -> Bool { (97...122).contains(byte) || (48...57).contains(byte) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool { isLower(byte) || (65...90).contains(byte) }

    private static func isLabel(_ text: Substring.UTF8View) -> Bool {
        guard let first = text.first, let last = text.last, isLower(first), isLower(last) else { return false }
        return text.allSatisfy { isLower($0) || $0 == UInt8(ascii: "-") }
    }

    private static func isOldLabel(_ text: Substring.UTF8View) -> Bool {
        isLabel(text) && text.first.map { (97...122).contains($0) } == true
    }

    private static func isSubdomain(_ text: Substring.UTF8View) -> Bool {
        text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { isLabel($0) }
    }

    private static func isName(_ text: Substring.UTF8View) -> Bool {
        guard let first = text.first, let last = text.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        return text.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func qualified(_ text: String) -> [String] {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        var problems: [String] = []
        if parts.count == 2 {
            problems +=
                parts[0].isEmpty
                ? ["prefix part must be non-empty"]
                : name(String(parts[0]), limit: 253, isSubdomain, subdomainRule).map { "prefix part \($0)" }
        }
        guard parts.count <= 2, let last = parts.last else {
            return ["a qualified name must have an optional DNS subdomain prefix and '/' before its name"]
        }
        if last.isEmpty { problems.append("name part must be non-empty") }
        return problems + (last.isEmpty ? [] : name(String(last), limit: 63, isName, nameRule))
    }

    private static func isUUID(_ text: String) -> Bool {
        let digits = text.utf8.filter { $0 != UInt8(ascii: "-") }
        let dashes = text.utf8.enumerated().filter { $0.element == UInt8(ascii: "-") }.map(\.offset)
        return digits.count == 32 && digits.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
            && (dashes.isEmpty || dashes == [8, 13, 18, 23])
    }
}

extension CELEvaluator {
    func format(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        if function == .namedFormat {
            return values.text(0).map { .optional(CELFormat(rawValue: $0).map { .opaque(.format($0)) }) }
        }
        if function == .validate {
            guard case .opaque(.format(let format)) = values.first, let text = values.text(1) else { return nil }
            let problems = format.problems(text)
            return .optional(problems.isEmpty ? nil : .list(problems.map { .string($0) }))
        }
        guard values.isEmpty, function.rawValue.hasPrefix("format.") else { return nil }
        return CELFormat(rawValue: String(function.rawValue.dropFirst("format.".count))).map { .opaque(.format($0)) }
    }

    /// The questions to `authorizer`.
    func access(_ function: CELFunction, _ values: [CELValue]) throws(CELFailure) -> CELValue? {
        guard case .opaque(let subject) = values.first else { return nil }
        switch (subject, function) {
        case (.decision(let decision), .allowed): return .bool(decision.isAllowed)
        case (.decision(let decision), .errored): return .bool(!decision.error.isEmpty)
        case (.decision(let decision), .error): return .string(decision.error)
        case (.decision(let decision), .reason): return .string(decision.reason)
        default: break
        }
        guard let text = values.text(1) else { return nil }
        switch (subject, function) {
        case (.authorizer(var access), .path):
            access.path = text
            return .opaque(.pathCheck(access))
        case (.authorizer(var access), .group):
            access.group = text
            return .opaque(.groupCheck(access))
        case (.authorizer(var access), .serviceAccount):
            guard let name = values.text(2) else { return nil }
            access.account = (text, name)
            return .opaque(.authorizer(access))
        case (.groupCheck(var access), .resource):
            access.resource = text
            return .opaque(.resourceCheck(access))
        case (.resourceCheck(var access), _):
            switch function {
            case .subresource: access.subresource = text
            case .namespace: access.namespace = text
            case .name: access.name = text
            case .fieldSelector, .labelSelector: break
            case .check:
                access.verb = text
                return .opaque(.decision(access.judge(access)))
            default: return nil
            }
            return .opaque(.resourceCheck(access))
        case (.pathCheck(var access), .check):
            access.verb = text
            return .opaque(.decision(access.judge(access)))
        default: return nil
        }
    }
}
