import Wire

/// A CustomResourceDefinition: what is wrong with it, and the kind that it makes.
package struct Definition {
    /// Holds a definition that is being deleted until its objects are gone.
    package static let finalizer = "customresourcecleanup.apiextensions.k8s.io"
    static let approval = "api-approved.kubernetes.io"

    /// Versions of one kind, and columns and fields to choose by of one version: more are refused.
    static let maximumVersions = 32
    static let maximumColumns = 100
    static let maximumSelectable = 8

    package private(set) var errors: [FieldError] = []
    /// The kind; of use only when there are no errors.
    package private(set) var kind: CustomKind?

    let object: Object
    private var compiler = SchemaCompiler()
    private let compileRules: CustomRuleCompiler

    /// Fills what a definition may leave out.
    package static func complete(_ object: inout Object) {
        let names = object.spec["names"] ?? .null
        let kind = names.text("kind") ?? ""
        if names.fields != nil {
            if (names.text("singular") ?? "").isEmpty {
                object.value.set(["spec", "names", "singular"], .string(kind.lowercased()))
            }
            if (names.text("listKind") ?? "").isEmpty {
                object.value.set(["spec", "names", "listKind"], .string(kind + "List"))
            }
        }
        if object.spec["conversion"] == nil { object.value.set(["spec", "conversion"], ["strategy": "None"]) }
        if object.spec["preserveUnknownFields"] == false { object.value.set(["spec", "preserveUnknownFields"], nil) }
    }

    /// Checks a definition and compiles its schemas.
    package init(_ object: Object, replacing old: Object? = nil, rules compileRules: @escaping CustomRuleCompiler) {
        self.object = object
        self.compileRules = compileRules
        checkNames()
        checkConversion()
        let versions = compileVersions()
        checkApproval(old)
        if let old { checkChange(from: old) }
        guard errors.isEmpty, let storage = versions.first(where: { $0.custom?.isStorage ?? false }) else { return }
        kind = CustomKind(definition: object.name, types: versions, storage: storage)
    }

    /// A definition that was accepted before: its kind, or nil when it is none any more.
    package static func kind(of object: Object, rules: @escaping CustomRuleCompiler) -> CustomKind? {
        Definition(object, rules: rules).kind
    }

    mutating func add(_ path: String, _ reason: FieldError.Reason, _ message: String) {
        if errors.count < 100 { errors.append(FieldError(path, reason, message)) }
    }

    private mutating func require(_ path: String, _ text: String, _ rule: (String) -> String?) {
        if text.isEmpty {
            add(path, .required, "Required value")
        } else if let problem = rule(text) {
            add(path, .invalid, "Invalid value: \"\(text.prefix(80))\": \(problem)")
        }
    }

    // MARK: Names

    private mutating func checkNames() {
        let spec = object.spec
        let group = spec.text("group") ?? ""
        let names = spec["names"] ?? .null
        let plural = names.text("plural") ?? ""
        if object.name != "\(plural).\(group)" {
            add(
                "metadata.name",
                .invalid,
                "Invalid value: \"\(object.name)\": must be spec.names.plural+\".\"+spec.group"
            )
        }
        require("spec.group", group, NameRules.subdomain)
        if !group.isEmpty, !group.contains(".") {
            add("spec.group", .invalid, "Invalid value: \"\(group)\": should be a domain with at least one dot")
        }
        switch spec.text("scope") {
        case "Namespaced", "Cluster": break
        case nil, "": add("spec.scope", .required, "Required value")
        case let other?:
            add(
                "spec.scope",
                .notSupported,
                "Unsupported value: \"\(other)\": supported values: \"Cluster\", \"Namespaced\""
            )
        }
        require("spec.names.plural", plural, NameRules.label1035)
        if let singular = names.text("singular"), !singular.isEmpty {
            require("spec.names.singular", singular, NameRules.label1035)
        }
        for field in ["kind", "listKind"] {
            require("spec.names.\(field)", names.text(field) ?? "") { text in
                NameRules.label1035(text.lowercased()).map { "may have mixed case, but should otherwise match: \($0)" }
            }
        }
        if names.text("kind") == names.text("listKind"), names.text("kind")?.isEmpty == false {
            add("spec.names.listKind", .invalid, "Invalid value: kind and listKind may not be the same")
        }
        for field in ["shortNames", "categories"] {
            for (index, text) in names.texts(field).enumerated() {
                require("spec.names.\(field)[\(index)]", text, NameRules.label1035)
            }
        }
    }

    private mutating func checkConversion() {
        let conversion = object.spec["conversion"] ?? .null
        switch conversion.text("strategy") {
        case "None":
            if conversion["webhook"] != nil {
                add(
                    "spec.conversion.webhook",
                    .forbidden,
                    "Forbidden: should not be set when strategy is not set to Webhook"
                )
            }
        case "Webhook":
            add(
                "spec.conversion.strategy",
                .notSupported,
                "Unsupported value: \"Webhook\": supported values: \"None\": Weft calls no conversion webhooks; versions "
                    + "that differ in apiVersion alone need none"
            )
        case let other:
            add(
                "spec.conversion.strategy",
                .notSupported,
                "Unsupported value: \"\(other ?? "")\": supported values: \"None\""
            )
        }
        if object.spec.flag("preserveUnknownFields") {
            add(
                "spec.preserveUnknownFields",
                .invalid,
                "Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                    + "spec.versions[*].schema instead"
            )
        }
    }

    // MARK: Versions

    private mutating func compileVersions() -> [ResourceType] {
        let versions = object.spec.list("versions")
        if versions.isEmpty { add("spec.versions", .required, "Required value: must have at least one version") }
        guard versions.count <= Self.maximumVersions else {
            add(
                "spec.versions",
                .tooMany,
                "Too many: \(versions.count): must have at most \(Self.maximumVersions) items"
            )
            return []
        }
        let storages = versions.filter { $0.flag("storage") }
        if !versions.isEmpty, storages.count != 1 {
            add("spec.versions", .invalid, "Invalid value: must have exactly one version marked as storage version")
        }
        let names = versions.map { $0.text("name") ?? "" }
        if Set(names).count != names.count {
            add("spec.versions", .invalid, "Invalid value: must contain unique version names")
        }
        let group = object.spec.text("group") ?? ""
        let storage = "\(group)/\(storages.first?.text("name") ?? "")"
        var types: [ResourceType] = []
        for (index, version) in versions.enumerated() {
            let custom = compile(version, "spec.versions[\(index)]", storage: storage)
            types.append(type(custom))
        }
        return types.sorted { VersionOrder($0.version) < VersionOrder($1.version) }
    }

    private func type(_ custom: CustomVersion) -> ResourceType {
        let names = object.spec["names"] ?? .null
        return ResourceType(
            group: object.spec.text("group") ?? "",
            version: custom.name,
            plural: names.text("plural") ?? "",
            kind: names.text("kind") ?? "",
            shortNames: names.texts("shortNames"),
            categories: names.texts("categories"),
            isNamespaced: object.spec.text("scope") == "Namespaced",
            hasStatus: custom.hasStatus,
            hasScale: custom.scale != nil,
            singular: names.text("singular"),
            custom: custom
        )
    }

    private mutating func compile(_ version: Value, _ path: String, storage: String) -> CustomVersion {
        var parts = CustomVersion.Parts()
        parts.name = version.text("name") ?? ""
        require("\(path).name", parts.name, NameRules.label1035)
        parts.isServed = version.flag("served")
        parts.isStorage = version.flag("storage")
        parts.storageAPIVersion = storage
        parts.listKind = object.spec.at("names", "listKind")?.stringValue ?? ""
        let at = "\(path).schema.openAPIV3Schema"
        let before = compiler.errors.count
        parts.schema = compiler.compile(root: version.at("schema", "openAPIV3Schema") ?? .null, at) ?? .anything
        errors += compiler.errors.dropFirst(before)
        if let schema = version.at("schema", "openAPIV3Schema"), compiler.errors.count == before {
            let made = compileRules(schema, at)
            parts.rules = made.rules
            errors += made.errors
        }
        columns(version, path, &parts)
        subresources(version, path, &parts)
        selectable(version, path, &parts)
        if version.flag("deprecated") {
            let kind = object.spec.at("names", "kind")?.stringValue ?? ""
            parts.deprecation =
                version.text("deprecationWarning")
                ?? "\(object.spec.text("group") ?? "")/\(parts.name) \(kind) is deprecated"
        } else if version["deprecationWarning"] != nil {
            add("\(path).deprecationWarning", .invalid, "Invalid value: can only be set for deprecated versions")
        }
        return CustomVersion(parts)
    }

    private static let columnTypes = ["boolean", "date", "integer", "number", "string"]
    private static let columnFormats: Set<String> = [
        "int32", "int64", "float", "double", "byte", "date", "date-time", "password",
    ]

    private mutating func columns(_ version: Value, _ path: String, _ parts: inout CustomVersion.Parts) {
        let columns = version.list("additionalPrinterColumns")
        guard columns.count <= Self.maximumColumns else {
            add(
                "\(path).additionalPrinterColumns",
                .tooMany,
                "Too many: must have at most \(Self.maximumColumns) items"
            )
            return
        }
        for (index, column) in columns.enumerated() {
            let at = "\(path).additionalPrinterColumns[\(index)]"
            let name = column.text("name") ?? ""
            if name.isEmpty { add("\(at).name", .required, "Required value") }
            let type = column.text("type") ?? ""
            if type.isEmpty {
                add("\(at).type", .required, "Required value: must be one of boolean,date,integer,number,string")
            } else if !Self.columnTypes.contains(type) {
                add(
                    "\(at).type",
                    .invalid,
                    "Invalid value: \"\(type)\": must be one of boolean,date,integer,number,string"
                )
            }
            let format = column.text("format") ?? ""
            if !format.isEmpty, !Self.columnFormats.contains(format) {
                add(
                    "\(at).format",
                    .invalid,
                    "Invalid value: \"\(format)\": must be one of byte,date,date-time,double,float,int32,int64,password"
                )
            }
            let text = column.text("jsonPath") ?? ""
            if text.isEmpty {
                add("\(at).jsonPath", .required, "Required value")
            } else if text.hasPrefix(".") || text.hasPrefix("{."), let path = FieldPath(text) {
                parts.columns.append(
                    CustomVersion.Column(
                        name: name,
                        type: type,
                        format: format,
                        description: column.text("description") ?? "",
                        priority: column.integer("priority") ?? 0,
                        path: path
                    )
                )
            } else {
                add(
                    "\(at).jsonPath",
                    .invalid,
                    "Invalid value: \"\(text.prefix(80))\": must be a simple json path starting with ."
                )
            }
        }
    }

    private mutating func subresources(_ version: Value, _ path: String, _ parts: inout CustomVersion.Parts) {
        let subresources = version["subresources"] ?? .null
        parts.hasStatus = subresources["status"].map { !$0.isNull } ?? false
        guard let scale = subresources["scale"], !scale.isNull else { return }
        let at = "\(path).subresources.scale"
        func fields(_ name: String, below roots: [String], isRequired: Bool = true) -> [String]? {
            let text = scale.text(name) ?? ""
            if text.isEmpty {
                if isRequired { add("\(at).\(name)", .required, "Required value") }
                return nil
            }
            guard let names = FieldPath(text)?.fields, text.hasPrefix("."), names.count > 1, roots.contains(names[0])
            else {
                let list = roots.map { ".\($0)" }.joined(separator: " or ")
                add(
                    "\(at).\(name)",
                    .invalid,
                    "Invalid value: \"\(text.prefix(80))\": should be a json path under \(list)"
                )
                return nil
            }
            return names
        }
        let spec = fields("specReplicasPath", below: ["spec"])
        let status = fields("statusReplicasPath", below: ["status"])
        let selector = fields("labelSelectorPath", below: ["spec", "status"], isRequired: false)
        if let spec, let status {
            parts.scale = CustomVersion.Scale(specReplicas: spec, statusReplicas: status, selector: selector)
        }
    }

    private mutating func selectable(_ version: Value, _ path: String, _ parts: inout CustomVersion.Parts) {
        let list = version.list("selectableFields")
        if list.count > Self.maximumSelectable {
            add(
                "\(path).selectableFields",
                .tooMany,
                "Too many: \(list.count): must have at most \(Self.maximumSelectable) items"
            )
            return
        }
        for (index, field) in list.enumerated() {
            let at = "\(path).selectableFields[\(index)].jsonPath"
            let text = field.text("jsonPath") ?? ""
            guard let names = FieldPath(text)?.fields, text.hasPrefix("."), !names.isEmpty else {
                add(
                    at,
                    text.isEmpty ? .required : .invalid,
                    text.isEmpty ? "Required value" : "Invalid value: \"\(text.prefix(80))\": is an invalid path"
                )
                continue
            }
            guard names[0] != "metadata" else {
                add(at, .invalid, "Invalid value: \"\(text)\": must not point to fields in metadata")
                continue
            }
            var node: StructuralSchema? = parts.schema
            for name in names { node = node?.property(name) }
            guard let node, [.string, .integer, .boolean].contains(node.kind) else {
                let why =
                    node == nil
                    ? "does not refer to a valid field"
                    : "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
                add(at, .invalid, "Invalid value: \"\(text)\": \(why)")
                continue
            }
            if parts.selectable.contains(names.joined(separator: ".")) {
                add(at, .duplicate, "Duplicate value: \"\(text)\"")
            }
            parts.selectable.append(names.joined(separator: "."))
        }
    }

    // MARK: Groups of Kubernetes, changes

    static func isProtected(_ group: String) -> Bool {
        group == "k8s.io" || group.hasSuffix(".k8s.io") || group == "kubernetes.io" || group.hasSuffix(".kubernetes.io")
    }

    /// Groups of Kubernetes' community need a word about their approval.
    private mutating func checkApproval(_ old: Object?) {
        guard Self.isProtected(object.spec.text("group") ?? "") else { return }
        let at = "metadata.annotations[\(Self.approval)]"
        let state = Approval(object)
        // A definition that was taken without it may stay.
        if let old, Approval(old) == state { return }
        switch state {
        case .missing:
            add(
                at,
                .required,
                "Required value: protected groups must have approval annotation \"\(Self.approval)\", see "
                    + "https://github.com/kubernetes/enhancements/pull/1111"
            )
        case .invalid(let text):
            add(
                at,
                .invalid,
                "Invalid value: \"\(text.prefix(80))\": protected groups must have approval annotation "
                    + "\"\(Self.approval)\" with either a URL or a reason starting with \"unapproved\", see "
                    + "https://github.com/kubernetes/enhancements/pull/1111"
            )
        case .approved, .bypassed: break
        }
    }

    enum Approval: Equatable {
        case missing
        case invalid(String)
        case bypassed(String)
        case approved(String)

        init(_ object: Object) {
            guard let text = object.annotation(Definition.approval), !text.isEmpty else {
                self = .missing
                return
            }
            if text.hasPrefix("unapproved") {
                self = .bypassed(text)
            } else if text.hasPrefix("https://") || text.hasPrefix("http://"), text.utf8.count > 10 {
                self = .approved(text)
            } else {
                self = .invalid(text)
            }
        }
    }

    private mutating func checkChange(from old: Object) {
        let isEstablished = DefinitionStatus.isTrue("Established", old)
        var fixed = ["group"]
        if isEstablished { fixed.append("scope") }
        for name in fixed where object.spec[name] != old.spec[name] {
            add("spec.\(name)", .invalid, "Invalid value: \"\(object.spec.text(name) ?? "")\": field is immutable")
        }
        for name in isEstablished ? ["kind", "plural"] : ["plural"]
        where object.spec.at("names", name) != old.spec.at("names", name) {
            let text = object.spec.at("names", name)?.stringValue ?? ""
            add("spec.names.\(name)", .invalid, "Invalid value: \"\(text)\": field is immutable")
        }
        let versions = Set(object.spec.list("versions").compactMap { $0.text("name") })
        for (index, name) in old.status.texts("storedVersions").enumerated() where !versions.contains(name) {
            add(
                "status.storedVersions[\(index)]",
                .invalid,
                "Invalid value: \"\(name)\": missing from spec.versions; \(name) was previously a storage version, and must "
                    + "remain in spec.versions until a storage migration ensures no data remains persisted in \(name) and "
                    + "removes \(name) from status.storedVersions"
            )
        }
    }
}

/// The order in which versions are preferred: `v2`, `v1`, `v1beta2`, `v1alpha1`, then others by their names.
struct VersionOrder: Comparable {
    private let rank: Int
    private let major: Int
    private let minor: Int
    private let name: String

    init(_ name: String) {
        self.name = name
        var rest = Substring(name)
        guard rest.popFirst() == "v" else {
            (rank, major, minor) = (3, 0, 0)
            return
        }
        let number = rest.prefix { $0.isASCII && $0.isWholeNumber }
        rest = rest.dropFirst(number.count)
        guard let major = Int(number) else {
            (rank, self.major, minor) = (3, 0, 0)
            return
        }
        self.major = major
        for (place, word) in ["", "beta", "alpha"].enumerated().reversed() where rest.hasPrefix(word) {
            let tail = rest.dropFirst(word.count)
            if word.isEmpty ? tail.isEmpty : Int(tail) != nil {
                (rank, minor) = (place, Int(tail) ?? 0)
                return
            }
        }
        (rank, minor) = (3, 0)
    }

    static func < (left: VersionOrder, right: VersionOrder) -> Bool {
        if left.rank != right.rank { return left.rank < right.rank }
        if left.rank == 3 { return left.name < right.name }
        if left.major != right.major { return left.major > right.major }
        return left.minor > right.minor
    }
}
