package import Wire

/// Who owns which fields of an object, and what a write changes about that.
package enum FieldOwners {
    /// The fields by which elements of a list are told apart; two ports of a pod may share a number.
    static func keys(of element: Shape, mergeKey: String) -> [String] {
        switch element {
        case .record("ContainerPort"), .record("ServicePort"): [mergeKey, "protocol"]
        default: [mergeKey]
        }
    }

    /// Fields that nobody owns: the server keeps them.
    private static let kept: [[String]] =
        [["f:apiVersion"], ["f:kind"]]
        + [
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
            "resourceVersion",
            "deletionTimestamp", "deletionGracePeriodSeconds",
        ].map { ["f:metadata", "f:\($0)"] }

    /// The part of a set that a writer of a sub-resource (or of none) may own.
    static func owned(_ set: FieldSet, _ type: ResourceType, _ subresource: String) -> FieldSet {
        if subresource == "status" { return set.only("f:status") }
        let set = set.without(kept)
        return type.hasStatus ? set.without([["f:status"]]) : set
    }

    /// Every field of a value.
    static func fields(of value: Value, _ shape: Shape, isRoot: Bool = false) -> FieldSet {
        var set = FieldSet()
        switch FieldParts(value, shape) {
        case .record(let fields, let shape):
            for (name, item) in fields where !item.isNull { set.add("f:\(name)", self.fields(of: item, shape(name))) }
        case .items(let items, let element):
            for (place, item) in items {
                var inner = self.fields(of: item, element)
                inner.isMember = true
                set.children[place] = inner
            }
        case .whole: break
        }
        if set.children.isEmpty, !isRoot { set.isMember = true }
        return set
    }

    /// What is new or different in a value, and what is gone.
    static func difference(_ old: Value?, _ new: Value, _ shape: Shape) -> (changed: FieldSet, removed: FieldSet) {
        guard let old else { return (fields(of: new, shape, isRoot: true), FieldSet()) }
        var changed = FieldSet()
        var removed = FieldSet()
        compare(old, new, shape, &changed, &removed)
        return (changed, removed)
    }

    private static func compare(
        _ old: Value,
        _ new: Value,
        _ shape: Shape,
        _ changed: inout FieldSet,
        _ removed: inout FieldSet
    ) {
        if old == new { return }
        switch (FieldParts(old, shape), FieldParts(new, shape)) {
        case (.record(let before, let shape), .record(let after, _)):
            parts(
                before.map { ("f:\($0.name)", $0.value, shape($0.name)) },
                after.map { ("f:\($0.name)", $0.value, shape($0.name)) },
                isList: false,
                &changed,
                &removed
            )
        case (.items(let before, let element), .items(let after, _)):
            parts(
                before.map { ($0.place, $0.value, element) },
                after.map { ($0.place, $0.value, element) },
                isList: true,
                &changed,
                &removed
            )
        default: changed.isMember = true
        }
    }

    private static func parts(
        _ before: [(place: String, value: Value, shape: Shape)],
        _ after: [(place: String, value: Value, shape: Shape)],
        isList: Bool,
        _ changed: inout FieldSet,
        _ removed: inout FieldSet
    ) {
        let old = Dictionary(before.map { ($0.place, $0.value) }, uniquingKeysWith: { first, _ in first })
        for (place, value, shape) in after {
            if let present = old[place] {
                var inner = FieldSet()
                var gone = FieldSet()
                compare(present, value, shape, &inner, &gone)
                changed.add(place, inner)
                removed.add(place, gone)
            } else {
                var inner = fields(of: value, shape)
                if isList { inner.isMember = true }
                changed.add(place, inner)
            }
        }
        let new = Set(after.map(\.place))
        for (place, value, shape) in before where !new.contains(place) {
            var inner = fields(of: value, shape)
            inner.isMember = true
            removed.add(place, inner)
        }
    }
}

/// One entry of `managedFields`.
struct FieldOwner: Sendable, Equatable {
    var manager: String
    var operation: String
    var apiVersion: String
    var time: String
    var subresource: String
    var fields: FieldSet

    init(manager: String, operation: String, apiVersion: String, time: String, subresource: String, fields: FieldSet) {
        self.manager = manager
        self.operation = operation
        self.apiVersion = apiVersion
        self.time = time
        self.subresource = subresource
        self.fields = fields
    }

    /// Nil for an entry that is none.
    init?(_ value: Value) {
        guard let operation = value.text("operation"), operation == "Apply" || operation == "Update",
            let fields = value["fieldsV1"], fields.fields != nil
        else { return nil }
        self.init(
            manager: value.text("manager") ?? "",
            operation: operation,
            apiVersion: value.text("apiVersion") ?? "",
            time: value.text("time") ?? "",
            subresource: value.text("subresource") ?? "",
            fields: FieldSet(fields)
        )
    }

    var value: Value { value(of: fields.value) }

    func value(of fields: Value) -> Value {
        var value: Value = [
            "manager": .string(manager), "operation": .string(operation), "apiVersion": .string(apiVersion),
        ]
        if !time.isEmpty { value["time"] = .string(time) }
        value["fieldsType"] = "FieldsV1"
        value["fieldsV1"] = fields
        if !subresource.isEmpty { value["subresource"] = .string(subresource) }
        return value
    }

    func isSame(_ other: FieldOwner) -> Bool {
        manager == other.manager && operation == other.operation && subresource == other.subresource
    }

    /// In the words of a conflict.
    var sentence: String {
        "conflict with \"\(manager)\""
            + (subresource.isEmpty ? "" : " with subresource \"\(subresource)\"")
            + (operation == "Update" ? " using \(apiVersion)" : "")
    }
}

/// A write as owners of fields see it: applied to the object that is about to be stored.
///
/// Owners are written down from the creation on, if a client created it; what controllers make has no `managedFields` before
/// somebody who names himself writes it.
package struct FieldTracking: Sendable {
    private let type: ResourceType
    private var owner: FieldOwner
    private let isNamed: Bool
    /// What the writer sent as `managedFields`; nil for nothing.
    private let sent: Value?
    /// The owners after an apply, decided with the object.
    private var decided: [FieldOwner]?

    /// A writer that does not name itself (`manager` is nil) is known by its `agent`.
    package init(
        _ type: ResourceType,
        manager: String?,
        agent: String,
        subresource: String,
        time: Timestamp,
        sent: Value?
    ) {
        self.type = type
        isNamed = manager != nil
        self.sent = sent
        owner = FieldOwner(
            manager: manager ?? agent,
            operation: "Update",
            apiVersion: type.apiVersion,
            time: time.description,
            subresource: subresource,
            fields: FieldSet()
        )
    }

    /// Writes the owners into an object that replaces `old`.
    package func finish(_ object: inout Object, replacing old: Object?) {
        let before = old.map(Self.owners) ?? []
        if let decided {
            Self.write(decided, before, into: &object, old)
            return
        }
        if old == nil, sent == nil, owner.subresource.isEmpty {
            object.value.set(
                ["metadata", "managedFields"],
                .array([owner.value(of: FieldOwners.all(of: object.value, type))])
            )
            return
        }
        var owners = before
        if let sent, old == nil || sent != old?.metadata["managedFields"] {
            owners = (sent.arrayValue ?? []).compactMap(FieldOwner.init)
        }
        guard isNamed || !owners.isEmpty || old == nil else {
            object.value.set(["metadata", "managedFields"], nil)
            return
        }
        let difference = FieldOwners.difference(old?.value, object.value, Schema.shape(of: type))
        let changed = FieldOwners.owned(difference.changed, type, owner.subresource)
        let removed = FieldOwners.owned(difference.removed, type, owner.subresource)
        if !changed.isEmpty || !removed.isEmpty {
            var own = owners.first { $0.isSame(owner) } ?? owner
            own.fields = own.fields.union(changed).subtracting(removed)
            own.time = owner.time
            own.apiVersion = owner.apiVersion
            let lost = changed.union(removed)
            owners = owners.filter { !$0.isSame(owner) }.map { other in
                var other = other
                other.fields = other.fields.subtracting(lost)
                return other
            }
            owners.append(own)
        }
        Self.write(owners, before, into: &object, old)
    }

    private static func write(_ owners: [FieldOwner], _ before: [FieldOwner], into object: inout Object, _ old: Object?)
    {
        let owners = owners.filter { !$0.fields.isEmpty }
        guard owners != before || old == nil else {
            object.value.set(["metadata", "managedFields"], old?.metadata["managedFields"])
            return
        }
        object.value.set(["metadata", "managedFields"], owners.isEmpty ? nil : .array(owners.map(\.value)))
    }

    private static func owners(_ object: Object) -> [FieldOwner] {
        object.metadata.list("managedFields").compactMap(FieldOwner.init)
    }

    // MARK: Apply

    /// The object that server-side apply makes of a stored one and what its manager wants; `finish` then knows the owners.
    ///
    /// - Throws: `APIError` 409 that names every field that others own and would lose.
    package mutating func apply(_ config: Object, to stored: Object?, forces: Bool) throws(APIError) -> Object {
        owner.operation = "Apply"
        let shape = Schema.shape(of: type)
        owner.fields = FieldOwners.owned(
            FieldOwners.fields(of: config.value, shape, isRoot: true),
            type,
            owner.subresource
        )
        guard let stored else {
            decided = [owner]
            return config
        }
        var owners = Self.owners(stored)
        if owners.isEmpty {
            // Whoever wrote it before is not known, but somebody did.
            var first = owner
            first.manager = "before-first-apply"
            first.operation = "Update"
            first.fields = FieldOwners.owned(
                FieldOwners.fields(of: stored.value, shape, isRoot: true),
                type,
                owner.subresource
            )
            owners = [first]
        }
        var merged = ServerSideApply.merge(config.value, into: stored.value, shape)
        let last = owners.first { $0.isSame(owner) }?.fields ?? FieldSet()
        var others = owners.filter { !$0.isSame(owner) }
        let changed = FieldOwners.difference(stored.value, merged, shape).changed.intersection(owner.fields)
        let known = owner.manager == "kubectl" && !forces ? Self.lastApplied(stored, shape) : FieldSet()
        let conflicts = others.map { ($0, $0.fields.intersection(changed).subtracting(known)) }
            .filter { !$0.1.isEmpty }
        guard forces || conflicts.isEmpty else { throw conflict(conflicts) }
        for index in others.indices { others[index].fields = others[index].fields.subtracting(changed) }
        var dropped = last.subtracting(owner.fields)
        for other in others { dropped = dropped.subtracting(other.fields) }
        merged = ServerSideApply.remove(dropped, from: merged, shape, others.map(\.fields))
        let old = owners.first { $0.isSame(owner) }
        if let old, old.fields == owner.fields, merged == stored.value { owner.time = old.time }
        decided = others + [owner]
        return Object(merged)
    }

    /// What kubectl applied by itself before: when it comes to apply on the server, that is its own to change.
    private static func lastApplied(_ stored: Object, _ shape: Shape) -> FieldSet {
        guard let text = stored.annotation("kubectl.kubernetes.io/last-applied-configuration"),
            let value = try? JSON.parse(Array(text.utf8))
        else { return FieldSet() }
        return FieldOwners.fields(of: value, shape, isRoot: true)
    }

    private func conflict(_ conflicts: [(FieldOwner, FieldSet)]) -> APIError {
        var details = APIError.Details()
        var lines: [String] = []
        for (other, fields) in conflicts {
            let paths = fields.paths()
            for path in paths { details.causes.append(FieldError(path, .fieldManagerConflict, other.sentence)) }
            lines.append(
                paths.count == 1
                    ? "\(other.sentence): \(paths[0])"
                    : "\(other.sentence.replacing("conflict with", with: "conflicts with")):\n"
                        + paths.map { "- \($0)" }.joined(separator: "\n")
            )
        }
        let count = details.causes.count
        return APIError(
            code: 409,
            reason: .conflict,
            message: "Apply failed with \(count) conflict\(count == 1 ? "" : "s"): \(lines.joined(separator: "\n"))",
            details: details
        )
    }
}
