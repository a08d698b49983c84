/// What a tap does not show: values of fields that hold secrets, and of parameters of a query that do.
package struct TapRedaction: Sendable, Equatable {
    /// Names of fields in lower case.
    package private(set) var fields: Set<String>

    package static let mark = "[redacted]"

    package static let standardFields: Set<String> = [
        "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token",
        "x-amz-security-token", "x-goog-iam-authorization-token",
    ]

    /// Parameters with these names, and those whose names end in one of `endings` behind `_`, `-` or `.`.
    private static let parameters: Set<String> = ["key", "apikey", "api_key", "api-key", "access_key", "sig", "code"]
    private static let endings = ["token", "password", "passwd", "secret", "signature"]

    package init(fields: Set<String> = standardFields) { self.fields = Set(fields.map { $0.lowercased() }) }

    /// Names from `a,b`.
    package static func names(_ list: String) -> Set<String> {
        Set(list.split(separator: ",").map { $0.filter { $0 != " " }.lowercased() }.filter { !$0.isEmpty })
    }

    /// Hides further fields.
    package func adding(_ names: Set<String>) -> TapRedaction { TapRedaction(fields: fields.union(names)) }

    package func value(_ value: String, of name: String) -> String {
        let name = name.lowercased()
        if fields.contains(name) { return Self.mark }
        return Self.targets.contains(name) ? target(value) : value
    }

    /// Fields that hold targets of requests.
    private static let targets: Set<String> = [":path", "x-envoy-original-path", "referer", "location"]

    /// A path with its query, without what secret parameters say.
    package func target(_ target: String) -> String {
        guard let mark = target.firstIndex(of: "?") else { return target }
        let head = target[...mark]
        let pairs = target[target.index(after: mark)...].split(separator: "&", omittingEmptySubsequences: false)
        let shown = pairs.map { pair -> String in
            guard let equals = pair.firstIndex(of: "="), Self.isSecret(pair[..<equals]) else { return String(pair) }
            return pair[...equals] + Self.mark
        }
        return head + shown.joined(separator: "&")
    }

    private static func isSecret(_ name: Substring) -> Bool {
        let name = name.lowercased()
        return parameters.contains(name)
            || endings.contains { word in
                guard name.hasSuffix(word) else { return false }
                let before = name.dropLast(word.count).last
                return before == nil || before == "_" || before == "-" || before == "."
            }
    }
}
