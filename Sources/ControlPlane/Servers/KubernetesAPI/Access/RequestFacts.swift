/// What a request wants, in the words in which rules speak of it.
struct RequestFacts: Sendable, Equatable {
    var verb: String
    /// The path of a request for no resource; nil for one that names a resource.
    var path: String?
    var group = ""
    var version = ""
    var resource = ""
    var subresource = ""
    var namespace = ""
    var name = ""

    init(verb: String, path: String? = nil) {
        self.verb = verb
        self.path = path
    }

    /// What a request wants; `segments` are its decoded path.
    init(_ request: HTTPRequest, _ segments: [String]) {
        verb = request.method.lowercased()
        var rest = segments[...]
        switch rest.popFirst() {
        case "api" where !rest.isEmpty: version = rest.popFirst() ?? ""
        case "apis" where rest.count >= 2:
            group = rest.popFirst() ?? ""
            version = rest.popFirst() ?? ""
        default: rest = []
        }
        guard !rest.isEmpty else {
            path = "/" + segments.joined(separator: "/")
            return
        }
        if rest.first == "namespaces", rest.count >= 2 {
            namespace = rest[rest.startIndex + 1]
            let inner = rest.count >= 3 ? rest[rest.startIndex + 2] : ""
            // `namespaces/x/status` and `namespaces/x/finalize` are of the namespace itself.
            if rest.count >= 3, inner != "status", inner != "finalize" { rest = rest.dropFirst(2) }
        }
        resource = rest.popFirst() ?? ""
        name = rest.popFirst() ?? ""
        subresource = rest.joined(separator: "/")
        verb = Self.verb(request, isNamed: !name.isEmpty)
        // Whoever may only look at pods must not run commands in them, whichever method opens the connection.
        if ["exec", "attach", "portforward"].contains(subresource) { verb = "create" }
    }

    private static func verb(_ request: HTTPRequest, isNamed: Bool) -> String {
        let watches = ["true", "1"].contains(request.queryValue("watch") ?? "")
        return switch request.method {
        case "GET", "HEAD": watches ? "watch" : isNamed ? "get" : "list"
        case "POST": "create"
        case "PUT": "update"
        case "PATCH": "patch"
        case "DELETE": isNamed ? "delete" : "deletecollection"
        default: request.method.lowercased()
        }
    }

    /// `pods` or `pods/log`.
    var qualifiedResource: String { subresource.isEmpty ? resource : "\(resource)/\(subresource)" }

    /// In the words of a refusal.
    var sentence: String {
        if let path { return "cannot \(verb) path \"\(path)\"" }
        let place =
            namespace.isEmpty || resource == "namespaces" ? "at the cluster scope" : "in the namespace \"\(namespace)\""
        return "cannot \(verb) resource \"\(qualifiedResource)\" in API group \"\(group)\" \(place)"
    }
}
