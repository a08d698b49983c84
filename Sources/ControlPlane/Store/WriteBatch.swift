import CEL
import Resources
import Wire

/// What somebody wants written.
enum WriteIntent {
    case create(Object)
    case replace(Object)
    case status(Object)
    case delete(ObjectKey, DeleteOptions)
}

/// What a write came to.
enum WriteOutcome {
    case written(Object)
    case deleted(DeleteOutcome)

    var object: Object {
        switch self {
        case .written(let object): object
        case .deleted(let outcome): outcome.object
        }
    }
}

/// Decides the writes of one transaction, one after the other, each on top of those before it. Touches no disk.
struct WriteBatch: StoreView {
    private let base: [ResourceType: StoreState.Table]
    private var overlay: [ObjectKey: Object?] = [:]
    private(set) var changes: [Change] = []
    private(set) var revision: Revision
    private let admissions: [any Admission]
    let now: Timestamp
    /// The kinds as the batch leaves them.
    var types: ServedTypes
    /// How the write that is being decided was asked for.
    private var asked: (isDryRun: Bool, requester: WriteRequester?) = (false, nil)

    init(
        base: [ResourceType: StoreState.Table],
        revision: Revision,
        types: ServedTypes,
        admissions: [any Admission],
        now: Timestamp
    ) {
        self.types = types
        self.base = base
        self.revision = revision
        self.admissions = admissions
        self.now = now
    }

    func get(_ key: ObjectKey) -> Object? {
        if let changed = overlay[key] { return changed }
        return base[key.type]?[key.namespace]?[key.name]
    }

    func list(_ type: ResourceType, namespace: String?) -> [Object] {
        var objects: [Object] = []
        for (space, table) in base[type] ?? [:] where namespace == nil || namespace == space {
            for (name, object) in table
            where overlay.isEmpty || overlay[ObjectKey(type, namespace: space, name: name)] == nil {
                objects.append(object)
            }
        }
        for (key, object) in overlay where key.type == type && (namespace == nil || namespace == key.namespace) {
            if let object { objects.append(object) }
        }
        return objects
    }

    /// Decides one write. A dry run is decided like any other, but leaves no change.
    mutating func decide(
        _ intent: WriteIntent,
        isDryRun: Bool,
        tracking: FieldTracking? = nil,
        requester: WriteRequester? = nil
    ) throws(APIError) -> WriteOutcome {
        asked = (isDryRun, requester)
        let (count, revision, types) = (changes.count, revision, types)
        do {
            let outcome: WriteOutcome
            switch intent {
            case .create(let object): outcome = .written(try create(object, tracking))
            case .replace(let object): outcome = .written(try replace(object, tracking))
            case .status(let object): outcome = .written(try status(object, tracking))
            case .delete(let key, let options): outcome = .deleted(try delete(key, options))
            }
            if isDryRun { takeBack(to: count, revision, types) }
            return outcome
        } catch {
            takeBack(to: count, revision, types)
            throw error
        }
    }

    /// Forgets the last changes.
    private mutating func takeBack(to count: Int, _ revision: Revision, _ types: ServedTypes) {
        self.revision = revision
        self.types = types
        while changes.count > count, let change = changes.popLast() {
            if let earlier = changes.last(where: { $0.key == change.key }) {
                overlay[change.key] = .some(earlier.isDeletion ? nil : earlier.new)
            } else {
                overlay.removeValue(forKey: change.key)
            }
        }
    }

    mutating func record(_ key: ObjectKey, old: Object?, new: Object, isDeletion: Bool = false) -> Object {
        revision += 1
        var new = new
        new.resourceVersion = String(revision)
        new = new.withText
        changes.append(Change(key: key, old: old, new: new, isDeletion: isDeletion, revision: revision))
        overlay[key] = .some(isDeletion ? nil : new)
        return new
    }

    private func type(of object: Object) throws(APIError) -> ResourceType {
        guard let type = types.find(apiVersion: object.apiVersion, kind: object.kind) else {
            throw .badRequest(
                "no kind \"\(object.kind)\" is served in apiVersion \"\(object.apiVersion)\""
            )
        }
        return type
    }

    // MARK: Create

    private mutating func create(_ wanted: Object, _ tracking: FieldTracking?) throws(APIError) -> Object {
        let type = try type(of: wanted)
        try checkNamespace(of: wanted, type)
        if types.isTerminating(type) {
            throw APIError(
                code: 405,
                reason: .methodNotAllowed,
                message: "create not allowed while custom resource definition is terminating"
            )
        }
        guard wanted.resourceVersion.isEmpty else {
            throw .badRequest("resourceVersion should not be set on objects to be created")
        }
        var object = wanted
        var key = ObjectKey(type, namespace: wanted.namespace, name: wanted.name)
        for attempt in 0..<8 {
            let suffix = wanted.generateName.isEmpty ? "" : Identity.suffix()
            let birth = ObjectRules.Birth(uid: Identity.uid(), now: now, suffix: suffix)
            object = try ObjectRules.prepareNew(wanted, of: type, birth)
            key = ObjectKey(type, namespace: object.namespace, name: object.name)
            guard get(key) != nil else { break }
            if !wanted.name.isEmpty || attempt == 7 { throw .alreadyExists(type, object.name) }
        }
        for admission in admissions { try admission.admit(&object, replacing: nil, view: self) }
        try ObjectRules.validate(object, of: type)
        try review(.create, type, object, nil)
        if type == ResourceTypes.definitions { try define(&object, replacing: nil) }
        keep(&object, type)
        tracking?.finish(&object, replacing: nil)
        return record(key, old: nil, new: object)
    }

    private func checkNamespace(of object: Object, _ type: ResourceType) throws(APIError) {
        guard type.isNamespaced, !object.namespace.isEmpty else { return }
        guard let namespace = get(ObjectKey(ResourceTypes.namespaces, name: object.namespace)) else {
            throw .notFound(ResourceTypes.namespaces, object.namespace)
        }
        guard namespace.isDeleting else { return }
        throw .forbidden(
            type,
            object.name,
            "unable to create new content in namespace \(object.namespace) because it is being terminated"
        )
    }

    // MARK: Replace

    private func stored(_ object: Object, _ type: ResourceType) throws(APIError) -> (ObjectKey, Object) {
        let key = ObjectKey(type, namespace: object.namespace, name: object.name)
        guard let stored = get(key) else { throw .notFound(type, object.name) }
        if !object.uid.isEmpty, object.uid != stored.uid {
            throw .conflict(
                type,
                object.name,
                "Precondition failed: UID in precondition: \(object.uid), UID in object meta: \(stored.uid)"
            )
        }
        if !object.resourceVersion.isEmpty, object.resourceVersion != stored.resourceVersion {
            throw .conflict(
                type,
                object.name,
                "the object has been modified; please apply your changes to the latest version and try again"
            )
        }
        return (key, stored)
    }

    private mutating func replace(_ wanted: Object, _ tracking: FieldTracking?) throws(APIError) -> Object {
        let type = try type(of: wanted)
        let (key, old) = try stored(wanted, type)
        let shown = shown(old, type)
        var object = try ObjectRules.prepareReplace(wanted, of: type, stored: shown)
        for admission in admissions { try admission.admit(&object, replacing: shown, view: self) }
        try ObjectRules.validate(object, of: type, replacing: shown)
        if !Self.isReleased(object, type) { try review(.update, type, object, shown) }
        keep(&object, type)
        if old.isDeleting, object.finalizers.contains(where: { !old.finalizers.contains($0) }) {
            throw .forbidden(type, object.name, "no new finalizers can be added while the object is being deleted")
        }
        object.resourceVersion = old.resourceVersion
        if type == ResourceTypes.definitions, !Self.isReleased(object, type) { try define(&object, replacing: old) }
        tracking?.finish(&object, replacing: old)
        if Self.isReleased(object, type) { return remove(key, old: old, new: object) }
        return object == old ? old : record(key, old: old, new: object)
    }

    private mutating func status(_ wanted: Object, _ tracking: FieldTracking?) throws(APIError) -> Object {
        let type = try type(of: wanted)
        let (key, old) = try stored(wanted, type)
        let shown = shown(old, type)
        var object = try ObjectRules.prepareStatus(wanted, of: type, stored: shown)
        if type.custom != nil { try ObjectRules.validate(object, of: type, replacing: shown) }
        try review(.update, type, object, shown, isStatus: true)
        keep(&object, type)
        if type == ResourceTypes.definitions { try define(&object, replacing: old) }
        tracking?.finish(&object, replacing: old)
        return object == old ? old : record(key, old: old, new: object)
    }

    /// Asks those who judge complete writes.
    private func review(
        _ operation: CELPolicyRequest.Operation,
        _ type: ResourceType,
        _ object: Object?,
        _ old: Object?,
        isStatus: Bool = false
    ) throws(APIError) {
        let write = CompletedWrite(
            operation: operation,
            type: type,
            object: object,
            old: old,
            isDryRun: asked.isDryRun,
            requester: asked.requester,
            isStatus: isStatus
        )
        for admission in admissions { try admission.review(write, view: self) }
    }

    /// Whether nothing holds an object any more that is being deleted.
    private static func isReleased(_ object: Object, _ type: ResourceType) -> Bool {
        guard object.isDeleting, object.finalizers.isEmpty else { return false }
        if type == ResourceTypes.namespaces { return object.spec.list("finalizers").isEmpty }
        return (object.deletionGracePeriodSeconds ?? 0) == 0
    }

    // MARK: Delete

    private static let keptNamespaces: Set<String> = ["default", "kube-system", "kube-public"]

    private mutating func delete(_ key: ObjectKey, _ options: DeleteOptions) throws(APIError) -> DeleteOutcome {
        guard let old = get(key) else { throw .notFound(key.type, key.name) }
        try check(options, old, key)
        try review(.delete, key.type, nil, old)
        if key.type == ResourceTypes.namespaces, Self.keptNamespaces.contains(key.name) {
            throw .forbidden(key.type, key.name, "this namespace may not be deleted")
        }
        if options.propagation == .orphan { orphan(dependentsOf: old) }
        var object = old
        // The owner waits until its dependents are gone: a collector of garbage takes the finalizer off.
        if options.propagation == .foreground, !old.isDeleting { object.finalizers.append(ObjectRules.foreground) }
        let grace = Self.grace(of: old, key.type, options)
        if old.isDeleting, grace >= old.deletionGracePeriodSeconds ?? 0, !Self.isReleased(object, key.type) {
            return .marked(old)
        }
        if let since = old.deletionTimestamp {
            object.deletionTimestamp = since.adding(seconds: grace - (old.deletionGracePeriodSeconds ?? 0))
        } else {
            object.deletionTimestamp = now.adding(seconds: grace)
        }
        object.value.set(["metadata", "deletionGracePeriodSeconds"], .int(Int64(grace)))
        if key.type == ResourceTypes.namespaces { object.value.set(["status", "phase"], "Terminating") }
        if Self.isReleased(object, key.type) { return .removed(remove(key, old: old, new: object)) }
        if key.type == ResourceTypes.definitions {
            DefinitionStatus.terminate(&object, now: now)
            types.set(key.name, types.custom[key.name], isTerminating: true)
        }
        if key.type.countsGenerations { object.generation = old.generation + 1 }
        return .marked(record(key, old: old, new: object))
    }

    private func check(_ options: DeleteOptions, _ old: Object, _ key: ObjectKey) throws(APIError) {
        if let uid = options.uid, uid != old.uid {
            throw .conflict(
                key.type,
                key.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(old.uid)"
            )
        }
        if let version = options.resourceVersion, version != old.resourceVersion {
            throw .conflict(
                key.type,
                key.name,
                "Precondition failed: ResourceVersion in precondition: \(version), ResourceVersion in object meta: "
                    + old.resourceVersion
            )
        }
    }

    /// Seconds that an object may take to go: only pods that may be running take any.
    private static func grace(of object: Object, _ type: ResourceType, _ options: DeleteOptions) -> Int {
        guard type == ResourceTypes.pods else { return 0 }
        let status = PodStatus(object.status)
        if status.phase == "Succeeded" || status.phase == "Failed" { return 0 }
        if (object.spec.text("nodeName") ?? "").isEmpty, status.startTime == nil { return 0 }
        let wanted = options.gracePeriodSeconds ?? PodSpec(object.spec).terminationGracePeriodSeconds
        return min(max(wanted, 0), 86400 * 365)
    }

    /// Takes an owner's name off everything that belongs to it.
    private mutating func orphan(dependentsOf owner: Object) {
        for type in types.kinds {
            let namespace = owner.namespace.isEmpty ? nil : owner.namespace
            for dependent in list(type, namespace: namespace) {
                let owners = dependent.ownerReferences
                let others = owners.filter { $0.uid != owner.uid }
                guard others.count < owners.count else { continue }
                let key = ObjectKey(type, namespace: dependent.namespace, name: dependent.name)
                var freed = dependent
                freed.ownerReferences = others
                _ = record(key, old: dependent, new: freed)
            }
        }
    }
}

/// Names made by chance.
enum Identity {
    private static let digits = Array("0123456789abcdef".utf8)

    /// A random UUID (RFC 9562 version 4).
    static func uid() -> String {
        // Two draws: each asks the kernel.
        var random = SystemRandomNumberGenerator()
        var halves = [random.next(), random.next()]
        halves[0] = halves[0] & ~0xf000 | 0x4000
        halves[1] = halves[1] & ~(0b11 << 62) | 0b10 << 62
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for place in 0..<32 {
            if [8, 12, 16, 20].contains(place) { text.append(UInt8(ascii: "-")) }
            text.append(digits[Int(halves[place / 16] >> UInt64(60 - place % 16 * 4) & 0xf)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static let letters = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

    /// Five letters and digits that make no words: the end of a generated name.
    static func suffix() -> String {
        var random = SystemRandomNumberGenerator()
        var chance = random.next()
        var text: [UInt8] = []
        for _ in 0..<5 {
            text.append(letters[Int(chance % UInt64(letters.count))])
            chance /= UInt64(letters.count)
        }
        return String(decoding: text, as: UTF8.self)
    }
}
